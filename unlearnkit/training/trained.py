"""What a run trains: the parameters that its algorithm chooses, or an adapter's addition to these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnkit.contracts import Adapter, Algorithm
from unlearnkit.errors import UnlearnkitError

if TYPE_CHECKING:
    from torch import nn


def mark_trained(
    model: nn.Module, algorithm: Algorithm, name: str, adapter: Adapter | None, seed: int
) -> dict[str, nn.Parameter]:
    """Make what is to be trained trainable, and nothing else; it, by its name in the model.

    The algorithm is asked about the model as it was loaded, whose names it knows; under an adapter its answer says what
    may be added to.

    Raises:
        UnlearnkitError: code `nothing-trained`; BadInput, where options do not fit the model.
    """
    chosen = [key for key, p in model.named_parameters() if p.requires_grad and algorithm.trains(key, model)]
    if not chosen:
        raise UnlearnkitError(f"{name} trains no parameter of this model", code="nothing-trained")
    if adapter is not None:
        adapter.wrap(model, chosen, seed)
        return {key: p for key, p in model.named_parameters() if p.requires_grad}
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in chosen)
    return {key: p for key, p in model.named_parameters() if p.requires_grad}
