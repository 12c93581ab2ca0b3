"""Which samples each optimiser step sees, as a pure function of the plan and the epochs' orders.

Nothing here remembers a position: step s belongs to epoch s // steps_per_epoch, and the retain samples of a step
follow from the number of samples before it. So a run can start again at any step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unlearnkit.seeds import derive


@dataclass(frozen=True)
class TrainingPlan:
    """Length and shape of a run. An epoch is one pass over the first set (the forget set, or the training set)."""

    n: int
    epochs: int
    max_steps: int | None
    batch_size: int
    grad_accum: int
    lr: float
    schedule: str
    warmup: float
    weight_decay: float
    max_grad_norm: float
    seed: int
    optimizer: str = "adamw"
    precision: str = "fp32"
    recompute: bool = False
    """Whether activations are computed again in the backward pass instead of kept."""

    @property
    def steps_per_epoch(self) -> int:
        per_step = self.batch_size * self.grad_accum
        return -(-self.n // per_step)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        whole = self.epochs * self.steps_per_epoch
        return whole if self.max_steps is None else min(whole, self.max_steps)

    def epoch(self, step: int) -> int:
        return step // self.steps_per_epoch

    def rows(self, step: int, order: Sequence[int]) -> list[int]:
        """Rows of the first set for one step of the epoch whose order this is."""
        start = (step % self.steps_per_epoch) * self.batch_size * self.grad_accum
        return [int(row) for row in order[start : start + self.batch_size * self.grad_accum]]

    def size(self, step: int) -> int:
        """Samples of the first set that a step sees."""
        return len(self.rows(step, range(self.n)))

    def micro_batches(self, rows: Sequence[int]) -> list[Sequence[int]]:
        """A step's rows, micro-batch by micro-batch."""
        return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]

    def companions(self, step: int, size: int, n: int) -> list[int]:
        """Rows of the retain set, of n samples, that go with a step of that size: successive pieces of shuffled
        passes."""
        in_epoch = (step % self.steps_per_epoch) * self.batch_size * self.grad_accum
        start = self.epoch(step) * self.n + in_epoch
        cycles = range(start // n, (start + size - 1) // n + 1)
        shuffled = {c: np.random.default_rng(derive(self.seed, "retain", c)).permutation(n) for c in cycles}
        return [int(shuffled[i // n][i % n]) for i in range(start, start + size)]

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, a pure function of its number: linear warm-up, then constant, linear or cosine."""
        warm = round(self.warmup * self.steps)
        if step < warm:
            return self.lr * (step + 1) / warm
        if self.schedule == "constant":
            return self.lr
        left = 1 - (step - warm) / max(1, self.steps - warm)
        return self.lr * (left if self.schedule == "linear" else 0.5 * (1 - float(np.cos(np.pi * left))))


def shuffled(plan: TrainingPlan) -> Callable[[int], Sequence[int]]:
    """Each epoch's order of the first set: a permutation, by the plan's seed."""

    def order(epoch: int) -> Sequence[int]:
        return [int(row) for row in np.random.default_rng(derive(plan.seed, "order", epoch)).permutation(plan.n)]

    return order


def by_epoch(plan: TrainingPlan, order: Callable[[int], Sequence[int]]) -> Callable[[int], Sequence[int]]:
    """The rows of each step, from the order of its epoch, which is asked for when the first of its steps is."""
    orders: dict[int, Sequence[int]] = {}

    def rows(step: int) -> Sequence[int]:
        epoch = plan.epoch(step)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = order(epoch)
        return plan.rows(step, orders[epoch])

    return rows
