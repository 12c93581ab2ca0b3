"""An adapter in a run: it fits the model before anything is loaded, trains in the place of the weights, is out of the
way where the model is measured, and what it made is written as a model or kept alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Adapter, Algorithm
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.models import ModelSource, save_folder, save_model, skeleton, write_beside
from unlearnkit.plugins import options_of
from unlearnkit.runs.inputs import find_model
from unlearnkit.runs.workplace import Workplace

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.training.loop import Trainer


@dataclass(frozen=True)
class Chosen:
    """The adapter that was asked for, under its name; or none."""

    name: str | None = None
    adapter: Adapter | None = None

    @property
    def rate(self) -> float:
        """Times the method's own learning rate."""
        return 1.0 if self.adapter is None else self.adapter.rate

    @property
    def said(self) -> str:
        """How a line that names the algorithm goes on."""
        return "" if self.name is None else f" under {self.name}"

    @property
    def options(self) -> dict[str, Any] | None:
        return None if self.adapter is None else options_of(self.adapter)

    @property
    def config(self) -> dict[str, Any]:
        """What a run's record says of it."""
        if self.adapter is None:
            return {}
        return {"adapter": self.name, "adapter_options": self.options, "merged": self.adapter.merge}

    def determines(self, place: Workplace) -> dict[str, Any]:
        """What it adds to a run's identity."""
        if self.name is None or self.adapter is None:
            return {}
        packages = {package: version(package) for package in self.adapter.packages}
        return {"adapter": [*place.plugins.code("adapter", self.name), packages, self.options]}


def choose(place: Workplace, name: str | None, options: Mapping[str, Any] | None) -> Chosen:
    """The adapter of a name, built.

    Raises:
        NotFound: code `plugin`. BadInput: code `option`, or `usage` for options of no adapter.
    """
    if name is None:
        if options:
            raise BadInput("-a gives an option of an adapter, and none is named", hint="--adapter NAME", code="usage")
        return Chosen()
    if not place.plugins.offers("adapter") and not place.plugins.broken():
        raise NotFound(
            f'no adapter "{name}": none is installed', hint="pip install unlearnkit-lora brings lora", code="plugin"
        )
    return Chosen(name, place.plugins.build("adapter", name, options or {}))


def check_fit(source: ModelSource, algorithm: Algorithm, name: str, adapter: Adapter | None) -> int:
    """See on a model without memory that there is something to train, and that the options which say what fit; the
    number of weights that are trained.

    Raises:
        BadInput: code `option`. UnlearnkitError: code `nothing-trained`.
    """
    from unlearnkit.training.trained import mark_trained

    model = skeleton(source)
    mark_trained(model, algorithm, name, adapter, seed=0)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def measurable(model: nn.Module, adapter: Adapter | None) -> Iterator[None]:
    """The model as one that was just loaded, for scorers: plain, and every parameter trainable. Afterwards it is in
    training as before."""
    with nullcontext() if adapter is None else adapter.folded(model):
        before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        try:
            for parameter, _ in before:
                parameter.requires_grad_()
            yield
        finally:
            for parameter, trained in before:
                parameter.requires_grad_(trained)


def write_trained(place: Workplace, trainer: Trainer, inputs: Inputs, out: Path, *, card: str, force: bool) -> str:
    """Write what was trained, and return the fingerprint of the model that it is."""
    model, adapter, tokenizer = trainer.plain(), trainer.adapter, inputs.tokenizer
    if adapter is None or adapter.merge:
        with nullcontext() if adapter is None else adapter.folded(model):
            return save_model(model, tokenizer, out, card=card, force=force)  # type: ignore[arg-type]
    kept, base = adapter, base_folder(inputs.model)

    def write(folder: Path) -> None:
        kept.keep(model, folder, base=base, fingerprint=inputs.model.fingerprint)
        write_beside(tokenizer, folder, card=card)

    save_folder(write, out, force=force)
    return find_model(place, str(out)).fingerprint


def base_folder(source: ModelSource) -> Path:
    """Where a model lies for good: the folder that was named, be it an adapter's, and not what a cache made of it."""
    named = Path(source.label).expanduser()
    return (named if named.is_dir() else source.folder).absolute()
