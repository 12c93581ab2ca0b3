"""Adaptive RMU: the steering vector is as long as the states that it replaces ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.algorithms.rmu import Steering
from unlearnkit.contracts import Step
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AdaptiveRMU(Steering):
    """RMU whose steering vector has a length in proportion to each token's own hidden state.

        L = γ mean_i |h(x_i) - β |h^ref(x_i)| u|² / H + α mean_j |h(x_j) - h^ref(x_j)|² / H

    h are the H hidden states behind a layer, averaged over each sample's label tokens, h^ref those of the starting
    model, and u a random unit vector that stays the same (arXiv 2408.06223). The authors' code takes one length for
    all tokens, from the first batch; their formula takes each one's.
    """

    source = "arXiv 2408.06223"
    rate: ClassVar[float] = 0.512
    epochs: ClassVar[int] = 8

    alpha: float = option(10.0, "weight of the retain term; at 0 no retain samples are read", ge=0)
    scale: float = option(5.0, "β, length of the steering vector as a multiple of the state's own", gt=0)

    @property
    def reads_reference(self) -> bool:
        return True

    def target(self, step: Step, layer: int) -> Tensor:
        lengths: Tensor = step.reference.hidden(step.forget, layer).norm(dim=-1, keepdim=True)
        return self.scale * lengths * step.state["direction"]
