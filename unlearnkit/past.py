"""What a model keeps of the tokens that it has read, under the name that transformers has for it: `cache` from 5.24 on,
`past_key_values` before that and in models that bring their own code."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

NAMES = ("cache", "past_key_values")


def takes_past(model: nn.Module) -> bool:
    """Whether a model can go on from what it has read."""
    return _name(type(model).forward) is not None


def with_past(model: nn.Module, past: Any) -> dict[str, Any]:
    """The argument that hands a model what it has kept; no argument where that is None."""
    name = _name(type(model).forward)
    return {} if past is None else {name or NAMES[-1]: past}


def past_of(output: Any) -> Any:
    """What a model has kept, from a pass's output; None where it says nothing of it."""
    return next((kept for name in NAMES if (kept := getattr(output, name, None)) is not None), None)


@lru_cache(maxsize=8)
def _name(forward: Callable[..., object]) -> str | None:
    takes = signature(forward).parameters
    return next((name for name in NAMES if name in takes), None)
