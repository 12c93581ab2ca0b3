"""What an aggregate must keep to."""

from __future__ import annotations

import math
from typing import ClassVar, get_args

from unlearnkit.contracts import Aggregate, Columns, Direction, Undefined
from unlearnkit.metrics.intervals import estimate
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract


class AggregateContract(Contract):
    """A number from stored columns, or the reason why there is none."""

    kind: ClassVar[str] = "aggregate"
    plugin: ClassVar[type[Aggregate]]
    metrics: ClassVar[tuple[str, ...]] = ("probability", "probability_options", "rouge", "truth_ratio")
    """Metrics that it may read."""
    splits: ClassVar[tuple[str, ...]] = ("forget", "retain", "real_authors", "world_facts")

    def columns(self, seed: int = 0) -> Columns:
        """Stored values; override where the aggregate reads other things."""
        return material.columns(self.metrics, self.splits, seed=seed)

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        """The checked number."""
        value: float | Undefined = self.make().combine(columns, reference)
        assert isinstance(value, Undefined) or math.isfinite(value), f"{value} is neither finite nor Undefined"
        return value

    def test_a_number_where_all_is_measured(self) -> None:
        value = self.combine(self.columns(), self.columns(seed=1))
        assert not isinstance(value, Undefined), f"undefined with all columns present: {value}"

    def test_undefined_where_nothing_is_measured(self) -> None:
        assert isinstance(self.combine({}, None), Undefined)
        assert isinstance(self.combine({}, {}), Undefined)

    def test_a_reference_is_needed_as_declared(self) -> None:
        without = self.combine(self.columns(), None)
        assert isinstance(without, Undefined) == self.plugin.needs_reference

    def test_order_of_columns_does_not_matter(self) -> None:
        columns, reference = self.columns(), self.columns(seed=1)
        backwards = {key: columns[key] for key in reversed(list(columns))}
        assert self.combine(backwards, reference) == self.combine(columns, reference)

    def test_the_interval_is_made_of_bounds(self) -> None:
        found = estimate(self.make(), self.columns(), self.columns(seed=1))
        assert not isinstance(found, Undefined)
        assert found.n > 0, "it reads no column"
        assert found.interval is not None
        low, high = found.interval
        assert math.isfinite(low) and math.isfinite(high) and low <= high

    def test_direction_is_known(self) -> None:
        assert self.plugin.direction in get_args(Direction)
