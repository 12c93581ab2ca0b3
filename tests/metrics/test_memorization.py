from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Probe, TokenScores, Undefined
from unlearnkit.metrics.memorization import ExactMemorization, ExtractionStrength

from .probes import samples

hits = st.lists(st.booleans(), min_size=1, max_size=20)


def measure(metric, correct):
    scores = TokenScores(np.zeros(len(correct)), np.array(correct, dtype=bool))
    return metric.measure(Probe(samples("a"), answer=[scores]))[0]


@given(hits)
def test_both_by_their_definitions(correct):
    n = len(correct)
    assert measure(ExactMemorization(), correct) == pytest.approx(sum(correct) / n)
    shown = min(k for k in range(n + 1) if all(correct[k:]))
    assert measure(ExtractionStrength(), correct) == pytest.approx(1 - shown / n)


@given(hits)
def test_what_can_be_extracted_is_memorised(correct):
    assert measure(ExtractionStrength(), correct) <= measure(ExactMemorization(), correct) + 1e-12


def test_nothing_extracted_is_exactly_0_and_all_is_exactly_1():
    assert measure(ExtractionStrength(), [False] * 4) == 0
    assert measure(ExtractionStrength(), [True, True, True, False]) == 0
    assert measure(ExtractionStrength(), [True] * 4) == 1


def test_no_token_no_value():
    assert measure(ExactMemorization(), []) == Undefined("no_target")
    assert measure(ExtractionStrength(), []) == Undefined("no_target")


@given(hits, st.integers(0, 3))
def test_the_tail_does_not_count(correct, tail):
    whole, rest = correct + [False] * tail, correct
    for kind in (ExactMemorization, ExtractionStrength):
        assert measure(kind(tail=tail), whole) == measure(kind(), rest)
        assert measure(kind(tail=len(rest)), rest) == Undefined("no_target")
