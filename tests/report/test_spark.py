"""Sparklines: the order of values, what is missing, and no more than there is room for."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlearnkit.report.spark import ASCII, BARS, spark

UNTIMED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def heights(line: str) -> list[int | None]:
    return [None if sign == " " else BARS.index(sign) for sign in line]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([2.0, 2.0, 2.0], "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, None, 0], "█ ▁"),
        ([None, None], "  "),
        ([0, math.inf, math.nan, 1], "▁  █"),
        ([-1e308, 1e308], "▁█"),
    ],
)
def test_lines(values: list[float | None], line: str):
    assert spark(values) == line


@UNTIMED
@given(st.lists(FINITE, min_size=1, max_size=24))
def test_higher_values_have_no_lower_bars(values: list[float]):
    found = heights(spark(values))
    assert len(found) == len(values)
    ordered = [height for _, height in sorted(zip(values, found, strict=True))]
    assert ordered == sorted(ordered)
    if min(values) / 2 < max(values) / 2:
        assert (ordered[0], ordered[-1]) == (0, len(BARS) - 1)


@UNTIMED
@given(st.lists(st.none() | FINITE, max_size=200), st.integers(1, 40))
def test_neighbours_share_a_bar_where_there_is_no_room(values: list[float | None], width: int):
    line = spark(values, width)
    assert len(line) == min(len(values), width)
    assert (line.strip() == "") == all(value is None for value in values)


def test_a_bar_is_the_mean_of_its_neighbours():
    assert spark([0, 2, 5, 7, 13, None, 15, 15], 4) == "▁▃▇█"  # means 1, 6, 13, 15 in eighths of 14


def test_ascii_keeps_the_signs_apart():
    assert len(set(ASCII.values())) == len(BARS) and all(sign.isascii() for sign in ASCII.values())
