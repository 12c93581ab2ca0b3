"""`analyze difficulty` against scipy on what was put into the store."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import Answer
from scipy import stats

from unlearnkit.errors import BadInput, NotFound
from unlearnkit.runs.analyze import difficulty

from ..lab import IDS, MODEL, OTHER, TOKENS, Lab, N

Cli = Callable[..., Answer]

SCORES = [float(x) for x in (5, 2, 7, 1, 9, 12, 3, 8, 6, 4, 11, 10)]
UPDATES = [9.0, 3, 8, 2, 12, np.inf, 4, 7, 0, 5, np.inf, 13]


def rho(a: object, b: object) -> float:
    return float(stats.spearmanr(a, b).statistic)


def predictions(found: object) -> dict[str, float | None]:
    return {p.scorer: p.rho.value for p in found}  # type: ignore[attr-defined]


def test_a_score_is_correlated_with_the_first_update_beyond_the_threshold(lab: Lab):
    lab.scores(SCORES)
    run = lab.unlearned(UPDATES)
    (group,) = difficulty(lab.place).groups
    assert (group.label, group.data, group.n, group.unseen) == ("my-model", "forget.jsonl", N, 0)
    (truth,) = group.runs
    assert (truth.run.id, truth.never, truth.unknown_before, truth.last, truth.sweeps) == (run.id, 2, 1, 20, 21)
    assert (truth.low, truth.high, truth.reference) == (2.0, 2.0, None)
    late = [99 if u == np.inf else u for u in UPDATES]  # those that never went tie as the last
    assert predictions(group.predictions) == {
        "mrd": pytest.approx(rho(SCORES, late)),
        "mrd/token": pytest.approx(rho(np.divide(SCORES, TOKENS), late)),
    }
    best = group.predictions[0]
    assert best.rho.low < best.rho.value < best.rho.high  # type: ignore[operator]
    xy, xz, yz = rho(SCORES, late), rho(SCORES, TOKENS), rho(late, TOKENS)
    whole = next(p for p in group.predictions if p.scorer == "mrd")
    assert whole.given_length.value == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    assert sum(p.strongest for p in group.predictions) == pytest.approx(1)


def test_algorithms_count_alike_however_many_seeds_they_have(lab: Lab):
    rng = np.random.default_rng(11)
    lab.scores(SCORES)
    truth = {method: [rng.permutation(N) for _ in range(seeds)] for method, seeds in (("ga", 3), ("npo", 1))}
    for method, some in truth.items():
        for updates in some:
            lab.unlearned(updates.tolist(), method)
    (group,) = difficulty(lab.place).groups
    means = {method: np.mean([rho(SCORES, u) for u in some]) for method, some in truth.items()}
    assert predictions(group.predictions)["mrd"] == pytest.approx(np.mean(list(means.values())))
    assert {m: predictions(some)["mrd"] for m, some in group.by_method.items()} == {
        method: pytest.approx(mean) for method, mean in means.items()
    }


def test_the_strongest_comes_first_and_what_has_no_value_says_why(lab: Lab):
    lab.scores([-u for u in range(N)], "mrd")
    lab.scores([1.0] * N, "loss")
    lab.scores([None] * N, "min-k")
    lab.scores([float(t) for t in TOKENS], "length")
    lab.unlearned(list(range(N)))
    (group,) = difficulty(lab.place).groups
    names = [p.scorer for p in group.predictions]
    by_name = {p.scorer: p for p in group.predictions}
    assert names[0] == "mrd"
    assert by_name["mrd"].rho.value == -1
    reasons = {name: p.rho.reason for name, p in by_name.items() if p.rho.value is None}
    assert reasons == {
        "loss": "constant_score",
        "min-k": "few_samples",
        "min-k/token": "few_samples",
        "length/token": "constant_score",
    }
    assert set(names[-4:]) == set(reasons)
    assert (by_name["length"].given_length.value, by_name["length"].given_length.reason) == (None, "control_says_all")


def test_the_newest_run_of_each_scorer_and_options_counts(lab: Lab):
    lab.scores([1.0] * N)
    newest = lab.scores(SCORES)
    lab.scores(SCORES[::-1], options={"draws": 2})
    lab.scores(SCORES[::-1], model=OTHER)
    lab.scores(SCORES[:5], ids=IDS[:5])  # not all of the samples
    lab.unlearned(UPDATES)
    (group,) = difficulty(lab.place).groups
    assert set(predictions(group.predictions)) == {"mrd", "mrd/token", "mrd (draws=2)", "mrd (draws=2)/token"}
    assert predictions(group.predictions)["mrd"] == pytest.approx(rho(SCORES, np.nan_to_num(UPDATES, posinf=99)))
    (named,) = difficulty(lab.place, scores=[newest]).groups
    assert set(predictions(named.predictions)) == {"mrd", "mrd/token"}


def test_thresholds_come_from_the_option_then_the_reference_then_the_run(lab: Lab):
    lab.scores(SCORES)
    base = lab.run("finetune", "finetune", {"data": lab.data()}, summary={"model": "1" * 64})
    reference = lab.evaluated(base, {s: float(np.exp(-(1 + i / 10))) for i, s in enumerate(IDS)})
    plain = lab.unlearned(UPDATES)
    own = lab.unlearned(UPDATES, config={"threshold": 3.0}, beyond=2.5)
    held = lab.unlearned(UPDATES)
    lab.evaluated(held, dict.fromkeys(IDS, 0.5), reference=reference)

    def looked_up(**options: object) -> dict[str, tuple[float, float, str | None, int]]:
        (group,) = difficulty(lab.place, **options).groups  # type: ignore[arg-type]
        return {r.run.id: (round(r.low, 9), round(r.high, 9), r.reference, r.never) for r in group.runs}

    assert looked_up() == {
        plain.id: (2.0, 2.0, None, 2),
        own.id: (3.0, 3.0, None, N),
        held.id: (1.0, 2.1, reference, 3),  # the last sample's 2.1 is above the 2.0 that it came to
    }
    assert looked_up(threshold=2.2)[own.id] == (2.2, 2.2, None, 2)
    assert looked_up(reference=reference)[plain.id] == (1.0, 2.1, reference, 3)
    assert looked_up(reference=base.id)[plain.id][2] == reference


def test_a_run_drawn_by_scores_is_left_out_unless_named(lab: Lab):
    scores = lab.scores(SCORES)
    plain, drawn = lab.unlearned(UPDATES), lab.unlearned(UPDATES, drawn_by=scores)
    found = difficulty(lab.place)
    assert ([r.run.id for r in found.groups[0].runs], found.left_out) == ([plain.id], 1)
    named = difficulty(lab.place, runs=[drawn.id])
    assert ([r.run.id for r in named.groups[0].runs], named.left_out) == ([drawn.id], 0)


def test_samples_that_were_never_looked_at_are_left_out(lab: Lab):
    lab.scores(SCORES)
    lab.unlearned(UPDATES[:9])
    (group,) = difficulty(lab.place).groups
    assert (group.n, group.unseen) == (9, 3)
    assert predictions(group.predictions)["mrd"] == pytest.approx(
        rho(SCORES[:9], np.nan_to_num(UPDATES[:9], posinf=99))
    )


def test_signs_are_held_against_each_other_over_models(lab: Lab):
    order = [float(i) for i in range(N)]
    jumbled = [order[i] for i in (7, 2, 9, 4, 0, 11, 5, 1, 8, 3, 10, 6)]
    for model, updates in ((MODEL, order), (OTHER, order[::-1])):
        lab.scores(order, "mrd", model=model)
        lab.scores(updates, "loss", model=model)
        lab.scores(jumbled, "min-k", model=model)
        lab.unlearned(updates, model=model)
    found = difficulty(lab.place)
    labels = [group.label for group in found.groups]
    assert sorted(labels) == ["my-model", "other-model"]
    mine = labels.index("my-model")
    assert (found.signs["mrd"][mine], found.signs["mrd"][1 - mine]) == (1, -1)
    assert found.signs["loss"] == [1, 1]
    assert found.signs["min-k"] == [0, 0]
    assert (found.keeps["mrd"], found.keeps["loss"], found.keeps["min-k"]) == (False, True, None)


def test_what_reads_texts_alone_holds_for_every_model(lab: Lab):
    lab.scores(SCORES[::-1], "word-rarity", model=OTHER)
    lab.scores([float(t) for t in TOKENS], "length", model=OTHER)  # of another tokenizer
    lab.scores(SCORES, "mrd", model=OTHER)
    lab.unlearned(UPDATES)
    (group,) = difficulty(lab.place).groups
    assert set(predictions(group.predictions)) == {"word-rarity", "word-rarity/token"}


def test_a_sum_over_the_prompt_too_is_not_divided_by_the_answers_tokens(lab: Lab):
    lab.scores(SCORES, options={"tokens": "all"})
    lab.unlearned(UPDATES)
    (group,) = difficulty(lab.place).groups
    assert set(predictions(group.predictions)) == {"mrd (tokens=all)"}


def test_what_is_missing_is_named_with_what_makes_it(lab: Lab):
    lab.scores(SCORES)
    with pytest.raises(NotFound, match="no unlearning run") as none:
        difficulty(lab.place)
    assert "--probe-every" in str(none.value.hint)
    unseen = lab.unlearned()
    with pytest.raises(NotFound, match=f"run {unseen.id} has no NLLs"):
        difficulty(lab.place, runs=[unseen.id])
    drawn = lab.unlearned(UPDATES, drawn_by="somebody", model=OTHER)
    with pytest.raises(NotFound, match="drawn by scores"):
        difficulty(lab.place)
    with pytest.raises(NotFound, match="no scores") as unscored:
        difficulty(lab.place, runs=[drawn.id])
    assert unscored.value.hint == "unlearnkit score --model other-model --data forget.jsonl"
    failed = lab.run("unlearn", "ga", {"forget": lab.data()}, "failed")
    for ref in (failed.id, lab.scores(SCORES)):
        with pytest.raises(BadInput, match="is no complete unlearning"):
            difficulty(lab.place, runs=[ref])
    with pytest.raises(BadInput, match="has no scores"):
        difficulty(lab.place, runs=[drawn.id], scores=[failed.id])
