"""Updates to forget, counted by hand."""

from __future__ import annotations

import numpy as np

from unlearnkit.analysis.forgetting import updates_to_forget

SEEN = [
    (0, "a", 0.1), (0, "b", 0.1), (0, "known badly", 2.5), (0, "never", 0.1),
    (3, "a", 1.9), (3, "b", 2.0),
    (5, "a", None), (5, "b", 0.3), (5, "never", 1.999),
    (8, "a", 2.1), (9, "a", 7.0), (9, "stranger", 7.0),
]  # fmt: skip


def test_the_first_time_that_the_limit_is_reached():
    limits = {"a": 2.0, "b": 2.0, "known badly": 2.0, "never": 2.0, "never seen": 2.0}
    found = updates_to_forget(SEEN, limits)
    assert list(found) == list(limits)
    assert {k: v for k, v in found.items() if v == v} == {"a": 8, "b": 3, "known badly": 0, "never": np.inf}
    assert np.isnan(found["never seen"])


def test_each_sample_has_a_limit_of_its_own():
    assert updates_to_forget(SEEN, {"a": 0.1, "b": 2.5}) == {"a": 0, "b": np.inf}


def test_the_order_in_which_it_was_seen_does_not_matter():
    limits = {"a": 2.0, "b": 2.0, "never": 2.0}
    assert updates_to_forget(SEEN[::-1], limits) == updates_to_forget(SEEN, limits)
