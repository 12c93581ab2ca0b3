"""Every term of model utility and both aggregates against what TOFU's own code gives on its authors' logs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from unlearnkit.contracts import Column, Columns, Metric
from unlearnkit.metrics.forget_quality import ForgetQuality
from unlearnkit.metrics.model_utility import TERMS, ModelUtility
from unlearnkit.metrics.probability import Probability, ProbabilityAgainstOptions
from unlearnkit.metrics.rouge import Rouge
from unlearnkit.metrics.truth_ratio import TruthRatio
from unlearnkit.runs.workplace import Workplace

from .probes import probe

TOFU = Workplace().suite("tofu")
MODELS = ("full", "full_wd0", "retain90", "retain90_wd0")
METRICS = {
    "probability": Probability(),
    "probability_options": ProbabilityAgainstOptions(),
    "rouge": Rouge(),
    "truth_ratio": TruthRatio(),
}
THEIR_NAME = {
    "probability": "prob",
    "probability_options": "prob",
    "rouge": "rougeL",
    "truth_ratio": "truth_ratio",
}


def column(metric: Metric, log: Mapping[str, Any], split: str) -> Column:
    """A metric's values on a split as they come back from storage."""
    values = np.array(metric.measure(probe(log)))
    return Column(values, metric.summarise(values, split))


@pytest.fixture(scope="module")
def expected(logs) -> Mapping[str, Any]:
    return logs("expected")


@pytest.fixture(scope="module")
def columns(logs) -> dict[str, Columns]:
    return {
        model: {
            (split, name): column(METRICS[name], log, split)
            for split, log in logs(model).items()
            for name in METRICS.keys() & {use.name for use in TOFU.splits[split].metrics}
        }
        for model in MODELS
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_figure_is_theirs(model, columns, expected):
    theirs = expected["model_utility"][model]
    figures = {f"{THEIR_NAME[name]}_{split}": col.mean for (split, name), col in columns[model].items()}
    assert len(figures) == 12
    for name, figure in figures.items():
        assert figure == pytest.approx(theirs[name], rel=1e-9), name


@pytest.mark.parametrize("model", MODELS)
def test_model_utility_is_theirs(model, columns, expected):
    utility = ModelUtility().combine(columns[model], None)
    assert utility == pytest.approx(expected["model_utility"][model]["model_utility"], rel=1e-9)


@pytest.mark.parametrize(("model", "reference"), permutations(MODELS, 2))
def test_forget_quality_is_theirs(model, reference, columns, expected):
    quality = ForgetQuality().combine(columns[model], columns[reference])
    theirs = expected["forget_quality"][f"{model} vs {reference}"]["p_value"]
    assert quality == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_rouge_of_every_generation_is_theirs(model, logs, columns):
    for split, log in logs(model).items():
        values = {
            "rougeL": columns[model][split, "rouge"].values,
            "rouge1": Rouge(variant="rouge1").measure(probe(log)),
        }
        for variant, found in values.items():
            np.testing.assert_allclose(found, log[f"{variant}_recall"], rtol=1e-9, atol=0, err_msg=split)


def test_utility_of_a_retain_set_alone_has_three_terms(columns):
    retain = {at: col for at, col in columns["full"].items() if at[0] == "retain"}
    figures = [retain["retain", name].mean for name in TERMS["retain"]]
    assert ModelUtility().combine(retain, None) == pytest.approx(3 / sum(1 / f for f in figures))


def test_a_worthless_term_makes_utility_worthless(columns):
    broken = Column(np.ones(3), np.zeros(3))
    assert ModelUtility().combine({**columns["full"], ("world_facts", "rouge"): broken}, None) == 0


def test_the_forget_set_has_no_part_in_utility(columns):
    without = {at: col for at, col in columns["full"].items() if at[0] != "forget"}
    assert ModelUtility().combine(without, None) == ModelUtility().combine(columns["full"], None)


def test_what_an_aggregate_lacks_has_a_name(columns):
    full = columns["full"]
    assert dataclasses.astuple(ModelUtility().combine({}, None)) == ("no_retain",)
    assert dataclasses.astuple(ForgetQuality().combine(full, None)) == ("no_reference",)
    for reference in (full, None):  # one that is asked for mends nothing
        assert dataclasses.astuple(ForgetQuality().combine({}, reference)) == ("no_truth_ratio",)
    assert dataclasses.astuple(ForgetQuality().combine(full, {})) == ("no_reference_truth_ratio",)
