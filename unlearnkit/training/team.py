"""The processes that train one model together, or the only one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Team:
    """One process alone."""

    rank = 0
    size = 1

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up each tensor over the processes, in place."""

    def total(self, value: float) -> float:
        """A number that each process has a part of."""
        return value

    def merge(
        self, totals: dict[str, float], found: list[tuple[int, float]]
    ) -> tuple[dict[str, float], list[tuple[int, float]]]:
        """Sums by name, and rows of all processes in order."""
        return totals, found
