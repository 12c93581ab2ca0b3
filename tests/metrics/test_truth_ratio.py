from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Probe, Undefined
from unlearnkit.metrics.truth_ratio import TruthRatio

from .probes import EMPTY, samples, text

losses = st.lists(st.floats(0, 30), min_size=1, max_size=6)


def ratio(answer, paraphrases, others, **options):
    probe = Probe(samples("a"), answer=[answer], paraphrases=[paraphrases], wrong=[others])
    return TruthRatio(**options).measure(probe)[0]


def test_ratios_of_another_implementation(shared):
    theirs = json.loads((shared / "reference/openunlearning/eval_smollm2_forget01.json").read_text("utf-8"))
    probe = Probe(
        samples(*("a" for _ in theirs["truth_ratio"])),
        answer=[text(-loss) for loss in theirs["avg_loss_answer"]],
        paraphrases=[[text(-loss)] for loss in theirs["avg_loss_paraphrase"]],
        wrong=[[text(-loss) for loss in row] for row in theirs["avg_loss_wrong"]],
    )
    values = np.array(TruthRatio().measure(probe))
    np.testing.assert_allclose(values, theirs["truth_ratio"], rtol=1e-6)
    figure = TruthRatio().summarise(values, "forget").mean()
    assert figure == pytest.approx(theirs["forget_truth_ratio"], rel=1e-6)


@given(losses, st.lists(losses, min_size=1, max_size=5))
def test_ratio_is_that_of_the_geometric_means(right, wrong):
    found = ratio(text(-1.0), [text(*(-v for v in right))], [text(*(-v for v in w)) for w in wrong])
    p_wrong = math.prod(math.exp(-np.mean(w)) ** (1 / len(wrong)) for w in wrong)
    assert found == pytest.approx(p_wrong / math.exp(-np.mean(right)), rel=1e-9)


def test_the_answer_stands_in_for_a_missing_paraphrase():
    answer, wrong = text(-1.0, -2.0), [text(-3.0)]
    assert ratio(answer, [], wrong) == ratio(text(-9.0), [answer], wrong) == pytest.approx(math.exp(1.5 - 3))


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20).map(np.array))
def test_summaries_lie_between_0_and_1_and_do_not_care_which_way_the_forget_set_errs(values):
    forget = TruthRatio().summarise(values, "forget")
    assert ((forget > 0) & (forget <= 1)).all()
    np.testing.assert_allclose(TruthRatio().summarise(1 / values, "forget"), forget, rtol=1e-12)
    retain = TruthRatio().summarise(values, "retain")
    assert ((retain >= 0) & (retain <= 1)).all()
    assert (retain[values >= 1] == 0).all()


@pytest.mark.parametrize(("right", "wrong"), [(-4000.0, -1.0), (-1.0, -4000.0)])
def test_a_collapsed_model_has_a_finite_ratio_whose_terms_are_at_their_limits(right, wrong):
    value = np.array([ratio(text(right), [], [text(wrong)])])
    assert np.isfinite(value).all()
    assert np.isfinite(1 / value).all()
    assert TruthRatio().summarise(value, "forget") == pytest.approx(0, abs=1e-300)
    assert TruthRatio().summarise(value, "retain") == pytest.approx(float(wrong < right), abs=1e-300)


def test_what_does_not_exist_says_why():
    assert ratio(text(-1.0), [], []) == Undefined("no_wrong_answers")
    assert ratio(EMPTY, [], [text(-1.0)]) == Undefined("no_target")
    assert ratio(text(-1.0), [], [text(-1.0), EMPTY]) == Undefined("no_target")


@given(losses, st.lists(losses, min_size=1, max_size=5), st.sampled_from([0.0, 1e-10, 0.01]))
def test_other_forms_are_openunlearnings_formulas(right, wrong, epsilon):
    """Its code: wrong / (correct + ε), or correct / (correct + wrong + ε) for prob_mean, by plain probabilities."""
    texts = text(-1.0), [text(*(-v for v in right))], [text(*(-v for v in w)) for w in wrong]
    p, each = math.exp(-np.mean(right)), [math.exp(-np.mean(w)) for w in wrong]
    for mean, p_wrong in (("geometric", math.prod(each) ** (1 / len(each))), ("arithmetic", sum(each) / len(each))):
        r = p_wrong / (p + epsilon)
        assert ratio(*texts, wrong=mean, epsilon=epsilon) == pytest.approx(r, rel=1e-9)
        assert ratio(*texts, wrong=mean, epsilon=epsilon, form="inverse") == pytest.approx(1 / r, rel=1e-9)
        share = ratio(*texts, wrong=mean, epsilon=epsilon, form="share")
        assert share == pytest.approx(p / (p + p_wrong + epsilon), rel=1e-9)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20).map(np.array), st.sampled_from([0.0, 0.5]))
def test_a_split_s_figure_is_the_one_that_is_asked_for(values, epsilon):
    closer, true = np.minimum(values, 1 / (values + epsilon)), np.maximum(0, 1 - values)
    for split, usual in (("forget", closer), ("retain", true)):
        for figure, expected in (("by_split", usual), ("closer_to_1_better", closer), ("true_better", true)):
            metric = TruthRatio(figure=figure, epsilon=epsilon)
            np.testing.assert_allclose(metric.summarise(values, split), expected, rtol=1e-12)
            inverse = TruthRatio(figure=figure, epsilon=epsilon, form="inverse")
            np.testing.assert_allclose(inverse.summarise(1 / values, split), expected, rtol=1e-9, atol=1e-12)
        assert (TruthRatio(form="share").summarise(values, split) == values).all()


def test_the_truth_s_share_is_to_be_low_on_the_forget_set_alone():
    assert [TruthRatio(form="share").better(split) for split in ("forget", "retain")] == ["lower", "higher"]
    assert [TruthRatio(form="inverse").better(split) for split in ("forget", "retain")] == ["higher", "higher"]


@pytest.mark.parametrize("form", ["ratio", "inverse", "share"])
def test_a_collapsed_model_has_a_finite_value_in_every_form(form):
    for right, wrong in ((-4000.0, -1.0), (-1.0, -4000.0), (-4000.0, -4000.0)):
        assert math.isfinite(ratio(text(right), [], [text(wrong)], form=form))
        assert math.isfinite(ratio(text(right), [], [text(wrong)], form=form, epsilon=1e-10))
