"""How well the model knows a sample: the plain loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Bench
from unlearnkit.scorers.onepass import OnePass, Reading


@dataclass
class Loss(OnePass):
    """Mean negative log-likelihood of the answer's tokens, −(1/n) Σ_t log p(x_t | x_<t), the oldest sign that a sample
    was trained on (Yeom et al., arXiv 1709.01604). One forward pass."""

    unit: ClassVar[str] = "nats per token"
    source: ClassVar[str] = "arXiv 1709.01604"

    def reading(self, bench: Bench) -> Reading:
        return lambda batch: (bench.base(batch).nll / bench.base(batch).tokens).tolist()
