from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

from unlearnkit.contracts import Aggregate, Column, Columns, Undefined
from unlearnkit.metrics.intervals import Estimate, estimate, resampled


@dataclass(frozen=True)
class Mean(Aggregate):
    """The mean of one column, less that of the reference where there is one."""

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        own = columns.get(("forget", "loss"))
        if own is None:
            return Undefined("nothing")
        return own.mean if reference is None else own.mean - reference["forget", "loss"].mean


class Cautious(Mean):
    """One that knows better bounds."""

    def interval(self, columns: Columns, reference: Columns | None) -> tuple[float, float]:
        return -1.0, float(len(columns["forget", "loss"].samples))


class Rarely(Mean):
    """One that has no value where the first sample was not drawn."""

    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        value = super().combine(columns, reference)
        return value if "000" in columns["forget", "loss"].samples else Undefined("gone")


def column(values: Sequence[float], ids: Sequence[int] | None = None) -> Column:
    found = np.array(values, dtype=float)
    return Column(found, found, tuple(f"{i:03}" for i in (range(len(values)) if ids is None else ids)))


@pytest.mark.parametrize(("ones", "n"), [(30, 100), (180, 200)])
def test_an_aggregate_that_is_a_share_has_binomial_bounds(ones: int, n: int):
    columns = {("forget", "loss"): column([1.0] * ones + [0.0] * (n - ones))}
    exact = binom.ppf([0.025, 0.975], n, ones / n) / n
    np.testing.assert_allclose(resampled(Mean(), columns, None, draws=4_000), exact, atol=1.01 / n)


def test_the_reference_s_values_come_with_their_samples():
    """Of the same samples and a constant 2 apart, so is every resample."""
    values = np.random.default_rng(0).normal(size=50)
    mine, theirs = {("forget", "loss"): column(values + 2)}, {("forget", "loss"): column(values)}
    found = estimate(Mean(), mine, theirs)
    assert isinstance(found, Estimate) and found.n == 50
    np.testing.assert_allclose([found.value, *found.interval], 2.0, rtol=1e-12)


def test_columns_of_a_split_are_drawn_together_and_gaps_stay():
    """Two columns that are the same number for a sample stay the same; the second lacks every other sample."""

    class Joined(Mean):
        def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
            whole, half = columns["forget", "loss"], columns["forget", "half"]
            at = dict(zip(whole.samples, whole.values, strict=True))
            assert [at[sample] for sample in half.samples] == list(half.values)
            assert set(half.samples) == {s for s in whole.samples if int(s) % 2 == 0}
            return whole.mean

    values = np.random.default_rng(0).normal(size=20)
    columns = {("forget", "loss"): column(values), ("forget", "half"): column(values[::2], range(0, 20, 2))}
    assert resampled(Joined(), columns, None) is not None


def test_an_aggregate_s_own_bounds_stand_and_what_it_did_not_read_does_not_count():
    columns = {("forget", "loss"): column([1.0, 3.0, 5.0]), ("retain", "loss"): column([7.0] * 9)}
    assert estimate(Cautious(), columns, None) == Estimate(3.0, (-1.0, 3.0), 3)


def test_what_has_no_interval_has_none():
    assert estimate(Mean(), {}, None) == Undefined("nothing")
    assert estimate(Mean(), {("forget", "loss"): column([np.inf, 1.0])}, None) == Undefined("nonfinite")
    one = {("forget", "loss"): column([3.0])}
    assert estimate(Mean(), one, None) == Estimate(3.0, None, 1)
    # A sample is missing from about e^-1 of the resamples.
    assert resampled(Rarely(), {("forget", "loss"): column(range(30))}, None) is None
