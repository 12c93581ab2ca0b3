from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Probe, Undefined
from unlearnkit.metrics.probability import Probability, ProbabilityAgainstOptions

from .probes import EMPTY, samples, text

logprobs = st.lists(st.floats(-50, 0), min_size=1, max_size=12)


@given(logprobs)
def test_probability_is_the_geometric_mean_of_the_tokens(values):
    (found,) = Probability().measure(Probe(samples("a"), answer=[text(*values)]))
    assert found == pytest.approx(math.prod(math.exp(v / len(values)) for v in values), rel=1e-9)


@given(logprobs, st.lists(logprobs, min_size=1, max_size=5))
def test_share_is_that_of_the_probabilities(right, wrong):
    probe = Probe(samples("a"), answer=[text(*right)], wrong=[[text(*w) for w in wrong]])
    (found,) = ProbabilityAgainstOptions().measure(probe)
    p, *others = (math.exp(sum(v) / len(v)) for v in (right, *wrong))
    assert found == pytest.approx(p / (p + sum(others)), rel=1e-9)


def test_a_collapsed_model_still_has_shares():
    probe = Probe(samples("a"), answer=[text(-2000.0)], wrong=[[text(-2000.0), text(-2000.0), text(-2000.0)]])
    assert ProbabilityAgainstOptions().measure(probe) == pytest.approx([0.25])
    assert Probability().measure(probe) == [0.0]


def test_what_does_not_exist_says_why():
    probe = Probe(samples("", "a"), answer=[EMPTY, text(-1.0)], wrong=[[text(-1.0)], []])
    assert Probability().measure(probe) == [Undefined("no_target"), pytest.approx(math.exp(-1))]
    assert ProbabilityAgainstOptions().measure(probe) == [
        Undefined("no_target"),
        Undefined("no_wrong_answers"),
    ]
