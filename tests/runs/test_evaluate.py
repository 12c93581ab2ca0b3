"""`evaluate`: on a model whose answers can be worked out by hand, and never twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ks_2samp

from unlearnkit import evaluating
from unlearnkit.contracts import Probe
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.workplace import Workplace

from .lab import Lab


@pytest.fixture
def data(forget: DataSpec, retain: DataSpec) -> dict[str, DataSpec]:
    return {"forget": forget, "retain": retain}


def asked(place: Workplace, model: str, data: dict[str, DataSpec], **more: Any) -> EvalReport:
    return evaluate(place, model=model, data=data, max_new_tokens=4, **more)


def test_the_numbers_of_a_model_that_finds_all_tokens_alike(
    place: Workplace, indifferent: str, data: dict[str, DataSpec]
):
    """p = 1/V for each token; every truth ratio is 1; ties go to token 0, padding, which is never an answer."""
    vocabulary = json.loads((Path(indifferent) / "config.json").read_text())["vocab_size"]
    found = asked(place, indifferent, data)
    for split, n in (("forget", 8), ("retain", 12)):
        expected = {
            "probability": 1 / vocabulary,
            "rouge": 0.0,
            "truth_ratio": 1.0 if split == "forget" else 0.0,
            "exact_memorization": 0.0,
            "extraction_strength": 0.0,
        }
        for metric, value in expected.items():
            figure = found.metrics[f"{split}.{metric}"]
            assert figure.n == n
            assert figure.value == pytest.approx(value, rel=1e-9, abs=1e-12), metric
            assert figure.low == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert found.aggregates["model_utility"].value == 0
    assert (found.aggregates["forget_quality"].value, found.aggregates["forget_quality"].reason) == (
        None,
        "no_reference",
    )
    assert found.computed == 20 and found.from_store == 0


def test_a_second_call_computes_nothing(
    place: Workplace, model: str, data: dict[str, DataSpec], request: pytest.FixtureRequest
):
    first = asked(place, model, data)
    request.getfixturevalue("no_model")
    again = asked(place, model, data)
    assert again == replace(first, computed=0, from_store=20)
    assert resume(place, first.run) == again
    assert place.store.run(first.run).config["request"]["suite_name"] == "tofu"


@pytest.mark.parametrize("change", [{"max_new_tokens": 3}, {"template": "verbatim"}], ids=" ".join)
def test_whatever_changes_a_number_is_another_run(
    place: Workplace, model: str, data: dict[str, DataSpec], change: dict[str, Any]
):
    first = asked(place, model, data)
    other = evaluate(place, **{"model": model, "data": data, "max_new_tokens": 4, **change})
    assert other.run != first.run and other.computed == 20


def test_it_goes_on_with_the_samples_that_are_missing(
    place: Workplace, model: str, data: dict[str, DataSpec], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    probe, seen = evaluating.Evaluator.probe, []

    def failing(self: Any, samples: Sequence[Any], *rest: Any, **more: Any) -> Any:
        if len(seen) == 2:
            raise OSError("no more")
        seen.append(samples)
        return probe(self, samples, *rest, **more)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(evaluating.Evaluator, "probe", failing)
        asked(place, model, data, batch_size=1)
    found = resume(place, "@last")
    assert isinstance(found, EvalReport)
    assert (found.from_store, found.computed) == (8, 12)
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        whole = asked(elsewhere, model, data, batch_size=1)
        assert elsewhere.store.results(whole.run) == place.store.results(found.run)
    assert whole.metrics == found.metrics


def test_forget_quality_is_the_test_on_the_stored_ratios(
    place: Workplace, model: str, indifferent: str, data: dict[str, DataSpec]
):
    reference = asked(place, indifferent, data)
    found = asked(place, model, data, reference=reference.run)

    def ratios(run: str) -> list[float]:
        rows = place.store.results(run)
        return [r.value for r in rows if (r.split, r.metric) == ("forget", "truth_ratio") and r.value is not None]

    expected = ks_2samp(ratios(found.run), ratios(reference.run)).pvalue
    assert found.aggregates["forget_quality"].value == pytest.approx(expected, rel=1e-12)
    assert found.aggregates["forget_quality"].reference == reference.run


def test_a_reference_is_a_run_s_evaluation_and_is_kept_by_its_id(
    place: Workplace, model: str, data: dict[str, DataSpec], retain: DataSpec, request: pytest.FixtureRequest
):
    only = finetune(place, model=model, data=(retain,), schedule=Schedule(epochs=1, lr=1e-3))
    theirs = asked(place, only.run, data)
    found = asked(place, model, data, reference="@last")
    assert found.aggregates["forget_quality"].reference == theirs.run
    assert place.store.run(found.run).config["request"]["reference"] == theirs.run
    request.getfixturevalue("no_model")
    by_training = asked(place, model, data, reference=only.run)
    assert by_training.aggregates == found.aggregates and by_training.computed == 0


def test_a_reference_on_other_data_is_refused(place: Workplace, model: str, data: dict[str, DataSpec]):
    other = asked(place, model, {"forget": data["retain"]})
    with pytest.raises(UnlearnkitError, match=other.run) as caught:
        asked(place, model, data, reference=other.run)
    assert caught.value.code == "reference"


@dataclass
class Counting:
    """A metric that cannot say anything of some samples."""

    needs: tuple[str, ...] = ("answer",)

    def measure(self, probe: Any) -> list[float]:
        return [float("nan") if s.position == 0 else float("inf") if s.position == 1 else 1.0 for s in probe.samples]


def test_what_is_no_number_is_stored_as_a_reason(place: Workplace, model: str, forget: DataSpec):
    from unlearnkit.data.samples import load_samples

    samples = load_samples(forget).samples
    probe = Probe(samples=samples)
    rows = evaluating.measured("counting", Counting(), "forget", probe)  # type: ignore[arg-type]
    assert [(row.value, row.status) for row in rows[:3]] == [(None, "nonfinite"), (None, "nonfinite"), (1.0, "ok")]


def test_what_a_plugins_command_made_goes_on_by_that_command(lab: Lab):
    asked = {"config": {"request": {"by": "some-plugin"}}, "argv": ("unlearnkit", "its-command", "a model")}
    run = lab.run("eval", "its-suite", {"forget": lab.data()}, state="failed", **asked)
    with pytest.raises(UnlearnkitError, match="was made by some-plugin") as caught:
        resume(lab.place, run.id)
    assert (caught.value.code, caught.value.hint) == ("not-resumable", "unlearnkit its-command 'a model'")


def test_a_row_whose_other_answer_is_too_long_is_a_bad_row(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path
):
    rows = [json.loads(line) for line in Path(forget.source).read_text().splitlines()]
    rows[1]["perturbed_answer"] = ["fits", "far " * 600]
    rows[4]["paraphrased_answer"] = "far " * 600
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = DataSpec(str(tmp_path / "long.jsonl"))
    with pytest.raises(UnlearnkitError, match=r"row 2: another answer: .*; row 5: another answer: ") as caught:
        asked(place, model, {"forget": spec})
    assert caught.value.code == "too-long"
    found = asked(place, model, {"forget": replace(spec, on_bad_row="skip")})
    assert {f.n for f in found.metrics.values()} == {len(rows) - 2}
    assert [text.split(": ")[-1] for text in place.progress.warned] == ["2 bad rows left out"]
    kept = place.store.rows(place.store.run(found.run).datasets["forget"])
    assert [(row.position, row.status) for row in kept if row.sample is None] == [(1, "too_long"), (4, "too_long")]
