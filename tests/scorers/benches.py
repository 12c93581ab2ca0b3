"""Models whose difficulty is known on paper, on benches of their own."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor, nn

from unlearnkit.data.encode import Encoded
from unlearnkit.scoring import ModelBench, Work


class Softmax(nn.Module):
    """One layer: p(y | x) = softmax(W[x])_y. Of P = log p(y | x) the Hessian is -(diag p - ppᵀ) in the row W[x] and 0
    elsewhere, so that tr ∇²P = -(1 - Σ p²)."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, input_ids: Tensor, **_: object) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table[input_ids])

    def curvature(self, text: Encoded) -> float:
        """½ |Σ_t tr(∇²P_t) / P_t| over a text's labels, by the formula."""
        total = 0.0
        for t in range(text.labels_from, len(text.ids)):
            logprobs = self.table.detach()[text.ids[t - 1]].double().log_softmax(-1)
            total += float((1 - (2 * logprobs).exp().sum()) / logprobs[text.ids[t]])
        return abs(total) / 2


def bench_of(model: nn.Module, texts: list[Encoded], batch_size: int = 2, seed: int = 7) -> ModelBench:
    return ModelBench.of(Work([], texts, pad=0, seed=seed, batch_size=batch_size), model)


def by_row(on: ModelBench, values: list) -> list:
    """Values in the plan's order, put in the order of the texts."""
    rows = [row for shard in on.shards for batch in shard for row in batch.rows]
    return [value for _, value in sorted(zip(rows, values, strict=True), key=lambda pair: pair[0])]
