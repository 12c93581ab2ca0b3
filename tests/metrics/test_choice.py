from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Probe, Undefined
from unlearnkit.metrics.choice import Choice

from .probes import EMPTY, samples, text

options = st.lists(st.lists(st.sampled_from([-4.0, -2.0, -1.0, -0.5]), min_size=1, max_size=3), min_size=2, max_size=5)


@given(options)
def test_it_is_how_often_picking_a_likeliest_option_is_right(found):
    right, *wrong = (text(*tokens) for tokens in found)
    sums = [sum(tokens) for tokens in found]
    best = [i for i, total in enumerate(sums) if total == max(sums)]
    (value,) = Choice().measure(Probe(samples("a"), answer=[right], wrong=[wrong]))
    assert value == pytest.approx(best.count(0) / len(best))


def test_options_that_are_all_alike_give_chance():
    probe = Probe(samples("a"), answer=[text(-1.0)], wrong=[[text(-1.0)] * 3])
    assert Choice().measure(probe) == [0.25]


def test_whichever_letter_is_right_a_model_without_a_mind_scores_chance():
    """Over all places that the right option may have, a fixed preference is right once in four."""
    fixed = np.array([-0.1, -3.0, -4.0, -5.0])
    values = []
    for right in range(4):
        wrong = [text(fixed[i]) for i in range(4) if i != right]
        values += Choice().measure(Probe(samples("a"), answer=[text(fixed[right])], wrong=[wrong]))
    assert np.mean(values) == 0.25


@pytest.mark.parametrize(("right", "wrong"), product([EMPTY, text(-1.0)], [[EMPTY], []]))
def test_what_does_not_exist_says_why(right, wrong):
    (found,) = Choice().measure(Probe(samples("a"), answer=[right], wrong=[wrong]))
    assert found == Undefined("no_target" if wrong else "no_wrong_answers")
