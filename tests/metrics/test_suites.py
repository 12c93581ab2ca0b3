from __future__ import annotations

import pytest

from unlearnkit.errors import NotFound
from unlearnkit.metrics.model_utility import TERMS
from unlearnkit.suites import SUITES, suite


def test_tofu_reads_what_its_aggregates_need():
    tofu = suite("tofu")
    for split, terms in TERMS.items():
        assert set(terms) <= set(tofu.splits[split])
    assert "truth_ratio" in tofu.splits["forget"]


def test_suites_are_found_by_their_own_name():
    assert all(found.name == name for name, found in SUITES.items())


def test_a_near_miss_is_suggested_and_a_far_one_gets_the_list():
    with pytest.raises(NotFound) as near:
        suite("tofuu")
    assert near.value.hint == 'did you mean "tofu"?'
    with pytest.raises(NotFound) as far:
        suite("muse")
    assert far.value.hint == "suites: tofu"
    assert (far.value.code, far.value.exit_code) == ("suite", 3)
