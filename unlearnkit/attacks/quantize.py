"""Fewer bits a weight: small changes, such as unlearning makes, are rounded away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from unlearnkit.contracts import Attack, Condition, Target
from unlearnkit.errors import UnlearnkitError
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor

WHOLE_CHANNEL = 8
"""Bits from which on an output channel's weights share one scale."""


@dataclass(frozen=True)
class Quantize(Attack):
    """Quantisation: weights of linear layers rounded to the nearest of few levels, and measured again.

    Simulated: rounded weights are written back as floating point, so arithmetic is as before and nothing gets smaller.
    Levels are symmetric about 0; a step is max |w| / (2^(bits-1) - 1), over an output channel at 8 bits and over groups
    of its weights below. Experts that a model keeps in one tensor are no linear layers, and stay.
    Source: arXiv 2410.16454.
    """

    bits: tuple[int, ...] = option((8, 4), "bits of a weight, one condition each", ge=2, le=8)
    group: int = option(64, "weights of a channel that share a scale, below 8 bits", ge=1)
    embeddings: bool = option(False, "round embeddings and head too")

    source: ClassVar[str] = "2410.16454"

    def __post_init__(self) -> None:
        if len(set(self.bits)) < len(self.bits) or not self.bits:
            raise ValueError("bits must be one or more different numbers")

    def conditions(self, target: Target) -> Iterator[Condition]:
        for bits in self.bits:
            with target.restored():
                self._quantize(target.model, bits)
                yield Condition(f"{bits}-bit")

    def _quantize(self, model: Any, bits: int) -> None:
        import torch

        found = matrices(model, embeddings=self.embeddings)
        if not found:
            raise UnlearnkitError("the model has no linear layer to quantise", code="nothing-quantised")
        with torch.no_grad():
            for matrix in found:
                group = matrix.shape[1] if bits >= WHOLE_CHANNEL else self.group
                matrix.copy_(rounded(matrix, bits, group))


def matrices(model: Any, *, embeddings: bool) -> list[Tensor]:
    """Weights of linear layers, each [outputs, inputs] and once, where layers share it; with `embeddings` theirs and
    the head's too, [tokens, width]."""
    from torch import nn

    ends = [end for end in (model.get_input_embeddings(), model.get_output_embeddings()) if end is not None]
    chosen = {id(end.weight): end.weight for end in ends} if embeddings else {}
    for module in model.modules():
        if isinstance(module, nn.Linear) and all(module.weight is not end.weight for end in ends):
            chosen[id(module.weight)] = module.weight
        elif type(module).__name__ == "Conv1D":  # GPT-2's linear layer, which keeps its weights the other way round
            chosen[id(module.weight)] = module.weight.T
    return list(chosen.values())


def rounded(weight: Tensor, bits: int, group: int) -> Tensor:
    """A matrix [outputs, inputs] with each weight at the nearest of 2^bits - 1 levels k·s, |k| < 2^(bits-1), where s is
    of `group` inputs in a row: |rounded - weight| ≤ s / 2."""
    from torch.nn import functional as F  # noqa: N812 - its usual name

    outputs, inputs = weight.shape
    top = 2 ** (bits - 1) - 1
    groups = F.pad(weight.float(), (0, -inputs % group)).view(outputs, -1, group)
    step = groups.abs().amax(-1, keepdim=True) / top
    levels = (groups / step).nan_to_num().round().clamp(-top, top)  # 0 / 0 where all of a group are 0
    found: Tensor = (levels * step).view(outputs, -1)[:, :inputs].to(weight.dtype)
    return found
