"""Unlearning completeness and utility, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from unlearnkit.contracts import Column, Undefined
from unlearnkit.metrics.unlearning_completeness import UnlearningCompleteness
from unlearnkit.metrics.utility import Utility


def column(*terms: float) -> Column:
    return Column(np.full(len(terms), 7.0), np.array(terms))  # figures are means of terms, not of values


def test_completeness_is_what_is_not_left():
    columns = {
        ("forget", "probability"): column(0.1, 0.3),
        ("forget", "rouge"): column(0.4),
        ("forget", "truth_ratio"): column(0.9),
        ("retain", "rouge"): column(1.0),
    }
    assert UnlearningCompleteness().combine(columns, None) == pytest.approx(1 - (0.2 + 0.4) / 2)
    assert UnlearningCompleteness(metrics=("rouge",)).combine(columns, None) == pytest.approx(0.6)


def test_completeness_is_1_where_nothing_and_0_where_all_is_left():
    names = UnlearningCompleteness().metrics
    for left in (0.0, 1.0):
        columns = {("forget", name): column(left) for name in names}
        assert UnlearningCompleteness().combine(columns, None) == 1 - left


def test_utility_is_a_mean_of_splits_and_survives_a_0():
    columns = {
        ("retain", "probability"): column(0.2, 0.4),
        ("retain", "rouge"): column(0.5),
        ("world_facts", "truth_ratio"): column(0.0),
        ("forget", "rouge"): column(1.0),
    }
    assert Utility().combine(columns, None) == pytest.approx(((0.3 + 0.5) / 2 + 0.0) / 2)
    assert Utility(splits=("retain",), metrics=("rouge",)).combine(columns, None) == pytest.approx(0.5)


def test_what_they_lack_has_a_name():
    assert UnlearningCompleteness().combine({("retain", "rouge"): column(1.0)}, None) == Undefined("no_forget")
    assert Utility().combine({("forget", "rouge"): column(1.0)}, None) == Undefined("no_retain")
