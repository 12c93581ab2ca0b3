"""What a sweep combines: plugins by their names, and values of their options, of all of a kind or of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from unlearnkit.errors import BadInput
from unlearnkit.plugins.origin import nearest

Each = Mapping[str, Sequence[Any]]
"""Values by option: "beta" is every plugin's of a kind, "npo.beta" is npo's alone and stands there in its place."""


@dataclass(frozen=True)
class Choice:
    """A combination but for its seed. `lr` is None for the algorithm's own, `wrapper` for none."""

    algorithm: str
    sampler: str
    lr: float | None
    options: Mapping[str, Any] = field(default_factory=dict)
    wrapper: str | None = None
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    wrapper_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """In words: "npo, mrd exponent=2, gru, lr 1e-05, beta=0.1"."""
        sampler = " ".join([self.sampler, *_said(self.sampler_options)])
        wrapper = [] if self.wrapper is None else [" ".join([self.wrapper, *_said(self.wrapper_options)])]
        rate = [] if self.lr is None else [f"lr {self.lr!r}"]
        return ", ".join([self.algorithm, sampler, *wrapper, *rate, *_said(self.options)])


def _said(options: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in options.items()]


@dataclass(frozen=True)
class Axes:
    """What is combined with what."""

    algorithms: Sequence[str] = ("npo",)
    samplers: Sequence[str] = ("uniform",)
    rates: Sequence[float | None] = (None,)
    seeds: Sequence[int] = (0,)
    options: Each = field(default_factory=dict)
    wrappers: Sequence[str | None] = (None,)
    sampler_options: Each = field(default_factory=dict)
    wrapper_options: Each = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in (("seed", self.seeds), ("lr", self.rates)):
            if len(set(values)) < len(values):
                raise BadInput(f"--{name}: a value stands twice", code="twice")
        _check("-o", "algorithm", self.algorithms, self.options)
        _check("-s", "sampler", self.samplers, self.sampler_options)
        _check("-w", "wrapper", self.wrappers, self.wrapper_options)

    def choices(self) -> list[Choice]:
        """Every combination but for the seeds."""
        return [
            Choice(algorithm, sampler, lr, options, wrapper, sampler_options, wrapper_options)
            for algorithm, sampler, wrapper, lr in product(self.algorithms, self.samplers, self.wrappers, self.rates)
            for options, sampler_options, wrapper_options in product(
                _combined(algorithm, self.options),
                _combined(sampler, self.sampler_options),
                _combined(wrapper, self.wrapper_options),
            )
        ]


def _combined(name: str | None, each: Each) -> list[dict[str, Any]]:
    """Every combination of the options of one plugin, a single empty one for none."""
    if name is None:
        return [{}]
    shared = {key: values for key, values in each.items() if "." not in key}
    own = {key.removeprefix(f"{name}."): values for key, values in each.items() if key.rpartition(".")[0] == name}
    both = shared | own
    return [dict(zip(both, values, strict=True)) for values in product(*both.values())]


def _check(flag: str, kind: str, names: Sequence[str | None], each: Each) -> None:
    """See that each option has a plugin that it may be of."""
    known = [name for name in names if name is not None]
    if each and not known:
        raise BadInput(f"{flag} gives an option of a {kind}, and none is named", hint=f"--{kind} NAME", code="usage")
    for key in each:
        whose, dot, _ = key.rpartition(".")
        if dot and whose not in known:
            meant = nearest(whose, known)
            hint = f'did you mean "{meant}"?' if meant else f"there are: {', '.join(known)}"
            raise BadInput(f'{flag} {key}: no {kind} "{whose}" in this sweep', hint=hint, code="option")
