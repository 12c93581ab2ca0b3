"""What a method hands back, checked before it is used, so that a mistake is named where it was made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from unlearnkit.contracts import Condition, Step, Term
from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from unlearnkit.contracts import Batch, Pool


@contextmanager
def contained() -> Iterator[None]:
    """What somebody else's code does to the whole process is undone: torch's default type and whether it records
    gradients, the working folder. Generators need nothing of the kind: all that is random here is seeded anew."""
    dtype, recording, folder = torch.get_default_dtype(), torch.is_grad_enabled(), os.getcwd()  # noqa: PTH109
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(recording)
        os.chdir(folder)


def checked_terms(algorithm: str, losses: object, step: Step) -> dict[str, Term]:
    """The terms that `Algorithm.losses` returned for a step, bare tensors wrapped.

    Raises:
        UnlearnkitError: code "plugin-contract": says what came and what is expected.
    """
    batches = {"forget": step.forget} | ({} if step.retain is None else {"retain": step.retain})
    if not isinstance(losses, Mapping) or not losses:
        raise _breach(f"algorithm {algorithm} returned {_shown(losses)}", 'a mapping from "forget" to losses')
    terms = {}
    for name, loss in losses.items():
        if name not in batches:
            raise _breach(f"algorithm {algorithm} returned a term {name!r}", f"only {' and '.join(batches)}")
        term = loss if isinstance(loss, Term) else Term(loss)
        if flaw := _flaw(term, batches[name], step):
            raise _breach(f"algorithm {algorithm}: the {name} term {flaw[0]}", flaw[1])
        terms[name] = term
    return terms


def checked_condition(attack: str, condition: object, before: Collection[str], samples: Collection[str]) -> Condition:
    """The next condition that `Attack.conditions` yielded: under a name of its own, of samples that there are.

    Args:
        before: names of those before it. samples: ids of the forget samples.

    Raises:
        UnlearnkitError: code "plugin-contract": says what came and what is expected.
    """
    if not isinstance(condition, Condition):
        raise _breach(f"attack {attack} yielded {_shown(condition)}", "a Condition")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", condition.name) or condition.name in before:
        raise _breach(f"attack {attack} yielded a condition {condition.name!r}", "a name (a-z, 0-9, . _ -) of its own")
    ids = [sample.id for sample in condition.samples or ()]
    if len(set(ids)) < len(ids) or not set(ids) <= set(samples):
        raise _breach(f"attack {attack}: condition {condition.name} asks other samples", "forget samples, each once")
    return condition


def checked_gradient(wrapper: str, gradient: object, parameters: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The gradient that `Wrapper.gradient` returned: one tensor a parameter, of its shape, detached.

    Raises:
        UnlearnkitError: code "plugin-contract": says what came and what is expected.
    """
    expected = f"{len(parameters)} tensors, shaped as the parameters"
    if not isinstance(gradient, Sequence) or len(gradient) != len(parameters):
        raise _breach(f"wrapper {wrapper} returned {_shown(gradient)}", expected)
    for value, parameter in zip(gradient, parameters, strict=True):
        if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
            raise _breach(f"wrapper {wrapper} returned {_shown(value)} for a parameter", expected)
    return [value.detach() for value in gradient]


def checked_order(name: str, order: object, pool: Pool, *, may_end: bool = False) -> np.ndarray:
    """The order that `Sampler.order` returned for a pool, as int64 [pool.size], or [0] where it may end training.

    Raises:
        UnlearnkitError: code "plugin-contract": says what came and what is expected.
    """
    n, size = pool.n, pool.size
    expected = f"{size} indices in 0 … {n - 1}, int64 [{size}]"
    if not isinstance(order, np.ndarray) or not np.issubdtype(order.dtype, np.integer):
        raise _breach(f"sampler {name} returned {_shown(order)}", expected)
    if order.shape != (size,) and not (may_end and order.shape == (0,)):
        raise _breach(f"sampler {name} returned an order of shape {list(order.shape)}", expected)
    if len(order) and not (order.min() >= 0 and order.max() < n):
        raise _breach(f"sampler {name} returned indices from {order.min()} to {order.max()}", expected)
    return order.astype(np.int64)


def _flaw(term: Term, batch: Batch, step: Step) -> tuple[str, str] | None:
    """What is wrong with a term, and what is expected instead."""
    if term.over is not None:
        step.batch(term.over)  # which says what is wrong
    if isinstance(term.skip, bool) or not isinstance(term.skip, int) or term.skip < 0:
        return f"skips {term.skip!r} tokens", "a whole number ≥ 0"
    if term.per not in ("sample", "token"):
        return f"is per {term.per!r}", 'per="sample" or per="token"'
    weight = term.weight
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        return f"has weight {weight!r}", "a finite number"
    return _tensor_flaw(term.values, (len(batch),), batch.ids.device)


def _tensor_flaw(values: object, shape: tuple[int], device: torch.device) -> tuple[str, str] | None:
    if not isinstance(values, torch.Tensor):
        return f"is {_shown(values)}", "a tensor with one loss a sample"
    if tuple(values.shape) != shape:
        return f"has shape {list(values.shape)}", f"{list(shape)}, one loss a sample"
    if not values.is_floating_point():
        return f"is of {values.dtype}", "a floating-point tensor"
    if values.device != device:
        return f"is on {values.device}", f"{device}, where the batch is"
    if not values.requires_grad:
        return "has no gradient", "a loss made from `step.scores` or `step.model`, not detached"
    return None


def _shown(thing: object) -> str:
    return "None" if thing is None else f"{type(thing).__name__} {thing!r:.60}"


def _breach(came: str, expected: str) -> UnlearnkitError:
    return UnlearnkitError(came, hint=f"expected: {expected}", code="plugin-contract")
