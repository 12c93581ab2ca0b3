"""What work holds in memory at its highest, from sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.dry.costs import STATES
from unlearnkit.runs.dry.plan import Memory

if TYPE_CHECKING:
    from unlearnkit.runs.dry.costs import Size
    from unlearnkit.training.plan import TrainingPlan

PER_HIDDEN = 68
"""Bytes of activations that a decoder block keeps for each token and hidden number in float32, for the backward pass:
twice the 34 that arXiv 2205.05198 counts in half precision, attention's own matrix aside."""


def memory(held: Mapping[str, int], *turns: Mapping[str, int]) -> Memory:
    """Of what is held all the time, and of the things that are done by turns the one that takes most."""
    import psutil
    import torch

    turn = max(turns, key=lambda of: sum(of.values()))
    parts = {what: size for what, size in {**held, **turn}.items() if size}
    if torch.cuda.is_available():
        return Memory(parts, torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0])
    return Memory(parts, "this machine", int(psutil.virtual_memory().available))


def weights(size: Size, copies: int = 1) -> dict[str, int]:
    """Weights in float32."""
    return {"weights": 4 * size.parameters * copies}


def reading(size: Size, tokens: int, labels: int, *, each: int = 4) -> dict[str, int]:
    """A pass without a gradient over so many tokens, of which so many are labels, in numbers of `each` bytes."""
    activations = each * tokens * size.width * 16  # a block's own, let go when the next has run
    return {"activations": activations, "logits": _logits(size, labels, 2)}


def training_state(size: Size, plan: TrainingPlan, *, trained: int, start: bool) -> dict[str, int]:
    """What training holds all the time: weights, gradients, what the optimiser keeps, and the starting weights where
    the algorithm reads them."""
    rounded, each = plan.precision == "bf16", width_of(plan)
    return {
        "weights": each * size.parameters,
        "gradients": each * trained,
        "optimiser": (STATES[plan.optimizer] + (8 if rounded else 0)) * trained,  # float32 copies, and their gradients
        "starting weights": each * trained if start else 0,
    }


def training_step(size: Size, plan: TrainingPlan, sets: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """A micro-batch of an optimiser step: at most so much for activations of the longest texts together."""
    tokens = sum(longest([items]) for items in sets.values()) * plan.batch_size
    block = PER_HIDDEN * size.width * tokens
    kept = block * (1 if plan.recompute else size.layers) + (4 * size.width * tokens * size.layers)
    return {"activations": kept, "logits": _logits(size, tokens, 3)}


def width_of(plan: TrainingPlan) -> int:
    """Bytes of a weight in training."""
    return 2 if plan.precision == "bf16" else 4


def longest(sets: Iterable[Sequence[Any]]) -> int:
    """Tokens of the longest text."""
    return max((len(item) for items in sets for item in items), default=0)


def _logits(size: Size, tokens: int, copies: int) -> int:
    return 4 * size.vocab * tokens * copies
