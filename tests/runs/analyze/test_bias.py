"""`analyze bias`: rankings on parts of a set and on sets apart, counted by hand and by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unlearnkit.errors import NotFound
from unlearnkit.runs.analyze import bias

from ..lab import IDS, Lab, N

MRD = [float(i) for i in range(N)]
THIRDS = [IDS[:4], IDS[4:8], IDS[8:]]


def on_thirds(*means: float) -> dict[str, float | None]:
    """Values by sample whose mean over the samples of each third is as given."""
    wobble = [-0.01, 0.01, 0.02, -0.02]
    return {s: means[i // 4] + wobble[i % 4] for i, s in enumerate(IDS)}


def test_methods_are_ranked_on_each_third_and_on_the_whole(lab: Lab):
    scores = lab.scores(MRD)
    means = {"ga": (0.1, 0.5, 0.9), "npo": (0.2, 0.4, 0.3), "graddiff": (0.3, 0.6, 0.2)}
    runs = {method: lab.unlearned([1.0] * N, method) for method in means}
    for method, run in runs.items():
        lab.evaluated(run, on_thirds(*means[method]))
    found = bias(lab.place)
    assert (found.metric, found.direction) == ("probability", "lower")
    (compared,) = found.comparisons
    assert (compared.kind, compared.model, compared.scored.run.id) == ("thirds", "my-model", scores)
    assert [(p.name, p.n, p.low, p.high) for p in compared.parts] == [
        ("hard", 4, 0, 3), ("middle", 4, 4, 7), ("easy", 4, 8, 11), ("whole", 12, 0, 11),
    ]  # fmt: skip
    rows = {row.label: row for row in compared.rows}
    for method, of_thirds in means.items():
        assert rows[method].runs == [runs[method].id]
        assert rows[method].figures == pytest.approx([*of_thirds, np.mean(of_thirds)])
    assert {name: row.ranks for name, row in rows.items()} == {
        "ga": [1, 2, 3, 3], "npo": [2, 1, 2, 1], "graddiff": [3, 3, 1, 2],
    }  # fmt: skip
    taus = {(compared.name(a.one), compared.name(a.other)): a.tau for a in compared.agreements}
    assert taus == {
        ("hard", "middle"): pytest.approx(1 / 3),
        ("hard", "easy"): pytest.approx(-1),
        ("hard", "whole"): pytest.approx(-1 / 3),
        ("middle", "easy"): pytest.approx(-1 / 3),
        ("middle", "whole"): pytest.approx(1 / 3),
        ("easy", "whole"): pytest.approx(1 / 3),
    }
    assert all(-1 <= a.by_chance <= 1 and 0 <= a.as_low <= 1 for a in compared.agreements)  # type: ignore[operator]


def test_seeds_of_a_method_are_averaged_and_other_options_are_another_method(lab: Lab):
    lab.scores(MRD)
    base = {"options": {"beta": 0.1}, "plan": {"n": N, "epochs": 5, "seed": 0}}
    seeded = [lab.unlearned([1.0] * N, "npo", config={**base, "plan": {**base["plan"], "seed": s}}) for s in (0, 1)]
    other = lab.unlearned([1.0] * N, "npo", config={**base, "options": {"beta": 0.5}})
    for run, level in ((seeded[0], 0.2), (seeded[1], 0.4), (other, 0.5)):
        lab.evaluated(run, dict.fromkeys(IDS, level))
    (compared,) = bias(lab.place).comparisons
    rows = {tuple(row.runs): row for row in compared.rows}
    assert rows[seeded[0].id, seeded[1].id].figures == pytest.approx([0.3] * 4)
    assert rows[other.id,].label == f"npo ({other.id})"


def test_another_template_or_threshold_is_another_method(lab: Lab):
    lab.scores(MRD)
    configs = ({}, {"request": {"template": "plain"}}, {"threshold": 3.0})
    for config in configs:
        lab.evaluated(lab.unlearned([1.0] * N, "npo", config=config), on_thirds(0.1, 0.2, 0.3))
    (compared,) = bias(lab.place).comparisons
    assert [len(row.runs) for row in compared.rows] == [1, 1, 1]


def test_a_metric_that_is_better_high_ranks_the_other_way(lab: Lab):
    lab.scores(MRD)
    for method, ratio in (("ga", 0.5), ("npo", 0.8)):
        lab.evaluated(lab.unlearned([1.0] * N, method), dict.fromkeys(IDS, ratio), "truth_ratio")
    found = bias(lab.place, metric="truth_ratio")
    ranks = {row.label: row.ranks for row in found.comparisons[0].rows}
    assert (found.direction, ranks["npo"], ranks["ga"]) == ("higher", [1] * 4, [2] * 4)


def test_only_samples_with_a_score_and_a_value_everywhere_are_compared(lab: Lab):
    lab.scores([None, *MRD[1:]])
    lab.evaluated(lab.unlearned([1.0] * N, "ga"), on_thirds(0.1, 0.2, 0.3))
    lab.evaluated(lab.unlearned([1.0] * N, "npo"), {**on_thirds(0.3, 0.2, 0.1), IDS[-1]: None})
    (compared,) = bias(lab.place).comparisons
    assert [p.n for p in compared.parts] == [4, 3, 3, 10]


def test_sets_apart_are_compared_by_the_models_that_forgot_them(lab: Lab):
    rng = np.random.default_rng(11)
    lab.scores(MRD)
    figures = {}
    for method in ("ga", "npo", "graddiff"):
        for i, ids in enumerate(THIRDS):
            run = lab.unlearned([1.0] * 4, method, ids, label=f"/somewhere/forget-{i + 1}-of-3.jsonl")
            values = dict(zip(ids, rng.uniform(size=4).tolist(), strict=True))
            lab.evaluated(run, values)
            figures[method, i] = float(np.mean(list(values.values())))
        lab.unlearned([1.0] * N, method)  # the whole set, which the others are parts of
    (compared,) = bias(lab.place).comparisons
    assert compared.kind == "sets"
    assert len(compared.parts) == 3
    assert [(p.low, p.high, p.n) for p in compared.parts] == [(0, 3, 4), (4, 7, 4), (8, 11, 4)]
    table = np.array([row.figures for row in compared.rows])
    np.testing.assert_allclose(table, [[figures[row.label, i] for i in range(3)] for row in compared.rows])
    for a in compared.agreements:
        assert a.tau == pytest.approx(stats.kendalltau(table[:, a.one], table[:, a.other]).statistic)
        assert (a.by_chance, a.as_low) == (None, None)


def test_runs_can_be_chosen_by_themselves_or_by_their_evaluations(lab: Lab):
    lab.scores(MRD)
    runs = {method: lab.unlearned([1.0] * N, method) for method in ("ga", "npo", "graddiff")}
    evals = {method: lab.evaluated(run, on_thirds(0.1, 0.2, 0.3)) for method, run in runs.items()}
    found = bias(lab.place, runs=[runs["ga"].id, evals["npo"]])
    assert {row.label for row in found.comparisons[0].rows} == {"ga", "npo"}


def test_what_is_missing_is_named(lab: Lab):
    lab.evaluated(lab.unlearned([1.0] * N, "ga"), on_thirds(0.1, 0.2, 0.3))
    with pytest.raises(NotFound, match="1 such evaluations, of 1 methods"):
        bias(lab.place)
    lab.evaluated(lab.unlearned([1.0] * N, "npo"), on_thirds(0.1, 0.2, 0.3))
    with pytest.raises(NotFound, match="no mrd scores of these samples under my-model"):
        bias(lab.place)
    with pytest.raises(NotFound, match='no metric "probablity"'):
        bias(lab.place, metric="probablity")
