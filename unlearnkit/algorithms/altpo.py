"""AltPO: another answer that the model itself made up is preferred over the one that is to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.algorithms.dpo import DPO


@dataclass(frozen=True)
class AltPO(DPO):
    """Direct preference optimisation towards answers that the starting model gave when asked to change the facts.

        L_i = -(2/β) log σ(β [(nll^ref - nll)(y'_i) - (nll^ref - nll)(y_i)])

    y'_i is that answer, y_i the forget answer; nll is summed over label tokens, nll^ref the same under the starting
    weights, in nats (arXiv 2409.13474, where several y' may stand for one y; here it is one). The model goes on
    answering, as it might have without the forget set, where dpo makes it decline.
    """

    source = "arXiv 2409.13474"
    rate: ClassVar[float] = 0.256
    preferred = "forget:generated"
