"""OpenUnlearning's attacks on membership: its scores are ours, with our sign, and its areas and leakage what the rows
give. The files are made from distributions over a small vocabulary by its formulas, as its code has them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Answer

from unlearnkit.contracts import Probe, TokenScores
from unlearnkit.data.samples import DataSpec
from unlearnkit.runs.imported import Imported, import_logs
from unlearnkit.runs.inputs import read_set
from unlearnkit.runs.workplace import Workplace

from .logs import write

Cli = Callable[..., Answer]
JSON = ("--format", "json")

Texts = list[tuple[np.ndarray, np.ndarray]]
"""Of each text the probabilities of every next token, [n, vocabulary], and which tokens came, [n]."""


def read(sizes: Sequence[int], *, known: float = 0.0, seed: int = 0) -> Texts:
    """Texts as a model reads them that gives the tokens that come a share `known` of all probability."""
    rng = np.random.default_rng(seed)
    texts = []
    for n in sizes:
        p, came = rng.dirichlet(np.ones(6), n), rng.integers(6, size=n)
        texts.append((known * np.eye(6)[came] + (1 - known) * p, came))
    return texts


def logprobs(text: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    p, came = text
    return np.log(p[np.arange(len(came)), came])


def lowest(of: np.ndarray) -> float:
    return -float(np.mean(sorted(of)[: max(1, int(len(of) * 0.4))]))


def plus(text: tuple[np.ndarray, np.ndarray]) -> float:
    p = text[0][:-1]
    mu = (p * np.log(p)).sum(-1)
    return lowest((logprobs(text)[:-1] - mu) / np.sqrt((p * np.log(p) ** 2).sum(-1) - mu**2))


def scores(texts: Texts, answers: Sequence[str]) -> dict[str, list[float]]:
    """Each attack's score of each text; the last label token does not count for those of the likeliest."""
    loss = [-float(logprobs(text).mean()) for text in texts]
    return {
        "mia_loss": loss,
        "mia_zlib": [nll / len(zlib.compress(a.encode())) for nll, a in zip(loss, answers, strict=True)],
        "mia_min_k": [lowest(logprobs(text)[:-1]) for text in texts],
        "mia_min_k_plus_plus": [plus(text) for text in texts],
        "mia_reference": [nll - 2.0 for nll in loss],
        "mia_gradnorm": [3.0 * nll for nll in loss],
    }


def area(members: Sequence[float], others: Sequence[float]) -> float:
    """Share of the pairs in which the member scores lower, as its labels have it; ties are halves."""
    return float(np.mean([(m < o) + (m == o) / 2 for m in members for o in others]))


def side(values: Sequence[float]) -> dict[str, Any]:
    return {
        "agg_value": float(np.mean(values)), "value_by_index": {str(i): {"score": v} for i, v in enumerate(values)}
    }  # fmt: skip


def attack(members: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    found = area(members, others)
    return {"forget": side(members), "holdout": side(others), "auc": found, "agg_value": found}


def log_of(members: Mapping[str, list[float]], others: Mapping[str, list[float]]) -> dict[str, Any]:
    return {name: attack(members[name], others[name]) for name in members}


def bare(texts: Texts) -> dict[str, list[float]]:
    return scores(texts, ["x"] * len(texts))


def only(place: Workplace, file: Path, **options: Any) -> Imported:
    (found,) = import_logs(place, [file], **options)
    return found


@pytest.fixture
def memorised() -> dict[str, Any]:
    """The log of a model that knows three of four in the forget set, and of the holdout what chance gives."""
    return log_of(bare(read([5, 9, 12], known=0.7) + read([7])), bare(read([8, 6, 11], seed=1)))


AREAS = {
    "auc_loss": "mia_loss", "auc_zlib": "mia_zlib", "auc_min_k": "mia_min_k", "auc_min_k_plus": "mia_min_k_plus_plus",
    "auc_loss_difference": "mia_reference", "auc_grad_norm_mean": "mia_gradnorm",
}  # fmt: skip


def test_scores_are_what_our_metrics_measure(place: Workplace, forget_file: Path, retain_file: Path, tmp_path: Path):
    data = {"forget": DataSpec(str(forget_file)), "holdout": DataSpec(str(retain_file))}
    sets = {split: read_set(place, spec).samples for split, spec in data.items()}
    texts = {split: read([3 + i for i in range(len(of))], seed=len(of)) for split, of in sets.items()}
    log = log_of(*(scores(texts[split], [s.answer for s in sets[split]]) for split in ("forget", "holdout")))
    found = only(place, write(tmp_path / "TOFU_EVAL.json", log), data=data)
    stored = {(r.split, r.metric, r.sample): r.value for r in place.store.results(found.report.run)}
    suite = place.store.run(found.report.run).config["suite"]
    measured = {}
    for split, of in suite["splits"].items():
        read_as = [
            TokenScores(
                logprobs(text), np.zeros(len(text[1]), bool), -(text[0] * np.log(text[0])).sum(-1),
                np.array([np.sqrt(np.cov(np.log(p), aweights=p, ddof=0)) for p in text[0]]),
            )
            for text in texts[split]
        ]  # fmt: skip
        for use in of["metrics"]:
            if use["plugin"] != "recorded":
                metric = place.plugins.build("metric", use["plugin"], use["options"])
                values = metric.measure(Probe(samples=sets[split], answer=read_as))
                measured |= {(split, use["name"], s.id): v for s, v in zip(sets[split], values, strict=True)}
    assert {name for _, name, _ in measured} == {"loss", "zlib", "min_k", "min_k_plus"}
    assert {key: stored[key] for key in measured} == pytest.approx(measured, rel=1e-9)
    assert {name for _, name, _ in stored.keys() - measured.keys()} == {"loss_difference", "grad_norm_mean"}


def test_a_model_that_memorised_is_above_a_half_in_both(place: Workplace, memorised: dict[str, Any], tmp_path: Path):
    report = only(place, write(tmp_path / "TOFU_EVAL.json", memorised)).report
    for ours, theirs in AREAS.items():
        assert 0.5 < memorised[theirs]["agg_value"] < 1
        assert report.aggregates[ours].value == pytest.approx(memorised[theirs]["agg_value"])
    assert report.metrics["forget.min_k"].value > report.metrics["holdout.min_k"].value
    assert report.metrics["forget.loss"].value < report.metrics["holdout.loss"].value
    assert not place.progress.warned


def test_pairs_that_tie_are_halves(place: Workplace, tmp_path: Path):
    log = {"mia_min_k": attack([1.0, 2.0, 2.0, 3.0], [2.0, 2.0, 0.0]), "mia_loss": attack([1.0], [1.0])}
    report = only(place, write(tmp_path / "TOFU_EVAL.json", log)).report
    assert report.aggregates["auc_min_k"].value == pytest.approx((2 + 1 + 1 + 0) / 12)
    assert report.aggregates["auc_loss"].value == 0.5
    assert not place.progress.warned


@pytest.mark.parametrize("name", [*AREAS.values()])
@pytest.mark.parametrize("where", ["forget", "holdout", ""])
def test_a_figure_that_was_altered_is_noticed(
    name: str, where: str, place: Workplace, memorised: dict[str, Any], tmp_path: Path
):
    of = memorised[name][where] if where else memorised[name]
    of["agg_value"] += 0.01
    only(place, write(tmp_path / "TOFU_EVAL.json", memorised))
    (ours,) = (ours for ours, theirs in AREAS.items() if theirs == name)
    (said,) = place.progress.warned
    assert said.startswith(f"{where}.{ours.removeprefix('auc_')}: the log says" if where else f"{ours}: the log says")


def test_leakage_is_held_against_the_reference(place: Workplace, memorised: dict[str, Any], tmp_path: Path):
    stranger = log_of(bare(read([5, 9, 12, 7], seed=2)), bare(read([8, 6, 11], seed=3)))
    theirs, mine = 1 - stranger["mia_min_k"]["agg_value"], 1 - memorised["mia_min_k"]["agg_value"]
    memorised["privleak"] = {"agg_value": (mine - theirs) / (theirs + 1e-10) * 100}
    reference = only(place, write(tmp_path / "retain" / "TOFU_EVAL.json", stranger)).report.run
    file = write(tmp_path / "full" / "TOFU_EVAL.json", memorised)
    alone = only(place, file).report.aggregates["privacy_leakage"]
    assert (alone.value, alone.reason) == (None, "no_reference")
    held = only(place, file, reference=reference).report.aggregates["privacy_leakage"]
    assert held.value == pytest.approx(memorised["privleak"]["agg_value"]) and held.value < 0
    assert not place.progress.warned
    memorised["privleak"]["agg_value"] *= 1.1
    only(place, write(tmp_path / "bad" / "TOFU_EVAL.json", memorised), reference=reference)
    (said,) = place.progress.warned
    assert said.startswith("privacy_leakage: the log says") and reference in said


@pytest.mark.parametrize(("metric", "alike"), [("{min_k: {k: 0.4, tail: 1}}", True), ("min_k", False)])
def test_a_reference_by_another_definition_is_none(
    metric: str, alike: bool, cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path, tmp_path: Path
):
    suite = tmp_path / "min.yaml"
    suite.write_text(f"splits:\n  forget: {{metrics: [{metric}]}}\n  holdout: {{metrics: [{metric}]}}\n")
    words = ("--forget", forget_file, "--holdout", retain_file)
    reference = cli("eval", tiny_model_dir, "--suite", suite, *words, *JSON).json["run"]
    log = log_of(bare(read(range(3, 11))), bare(read(range(3, 15), seed=1))) | {"privleak": {"agg_value": None}}
    data = ("--data", f"forget={forget_file}", "--data", f"holdout={retain_file}")
    found = cli("import", write(tmp_path / "TOFU_EVAL.json", log), *data, "--reference", reference, *JSON).json
    leakage = found["aggregates"]["privacy_leakage"]
    assert (leakage["reason"], leakage["value"] is None) == ((None, False) if alike else ("no_reference_scores", True))


def test_what_is_missing_has_a_reason(place: Workplace, tmp_path: Path):
    log = {"mia_loss": attack([1.0, 2.0, 3.0, 4.0], [5.0, 6.0]), "mia_zlib": {"agg_value": 0.7}}
    rows = log["mia_loss"]["forget"]["value_by_index"]
    rows["1"], rows["2"], rows["3"] = {"score": None}, None, {"score": float("nan")}
    log["privleak"] = {"agg_value": -20.0}
    found = only(place, write(tmp_path / "TOFU_EVAL.json", log))
    kept = [(r.value, r.status) for r in place.store.results(found.report.run) if r.split == "forget"]
    assert sorted(kept, key=str) == [
        (1.0, "ok"), (None, "nonfinite"), (None, "unrecorded"), (None, "unrecorded")
    ]  # fmt: skip
    assert (found.report.metrics["forget.loss"].n, found.undefined) == (1, 3)
    reasons = {missing.name: missing.reason for missing in found.report.missing}
    assert (reasons["auc_zlib"], reasons["privacy_leakage"]) == ("no_scores", "no_reference")


def test_muse_reads_other_texts_for_memorisation(cli: Cli, memorised: dict[str, Any], tmp_path: Path):
    log = {**memorised, "exact_memorization": side([0.5, 0.25]), "privleak": {"agg_value": -90.0}}
    found = cli("import", write(tmp_path / "books" / "MUSE_EVAL.json", log), *JSON).json
    assert (found["suite"], found["model"]) == ("muse", "books")
    sizes = {name: of["n"] for name, of in found["metrics"].items()}
    assert sizes["forget_verbatim.exact_memorization"] == 2 and "forget.exact_memorization" not in sizes
    assert (sizes["forget.min_k"], sizes["holdout.min_k"]) == (4, 3)
