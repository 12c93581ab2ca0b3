"""What is said of a log: which of its numbers are not taken, and which rows of the data it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec, load_samples
from unlearnkit.runs.imported import import_logs
from unlearnkit.runs.workplace import Workplace

from .logs import as_openunlearning_writes_it, write


def log_of(questions: list[tuple[str, str]], *, texts: bool) -> dict[str, Any]:
    n = len(questions)
    said = [{"question": f"[INST] {q} [/INST]", "generated": "", "answer": a} for q, a in questions]
    of = {
        "avg_gt_loss": [1.0] * n, "avg_paraphrased_loss": [1.0] * n, "average_perturb_loss": [[2.0, 3.0]] * n,
        "rougeL_recall": [0.5] * n, "rouge1_recall": [0.5] * n, "generations": said,
    }  # fmt: skip
    return as_openunlearning_writes_it({"forget": of}, texts=texts)


@pytest.mark.parametrize("texts", [True, False])
def test_rows_of_the_data_that_the_log_lacks_are_said(place: Workplace, forget_file: Path, tmp_path: Path, texts: bool):
    spec = DataSpec(str(forget_file))
    rows = [(s.prompt, s.answer) for s in load_samples(spec).samples]
    whole = write(tmp_path / "whole.json", log_of(rows, texts=texts))
    import_logs(place, [whole], data={"forget": spec})
    assert not place.progress.warned
    import_logs(place, [write(tmp_path / "some.json", log_of(rows[:3], texts=texts))], data={"forget": spec})
    (said,) = place.progress.warned
    assert said.startswith(f"forget: the log has 3 of the {len(rows)} rows of ")
    assert said.endswith("texts" if texts else "place")


def test_numbers_that_are_not_taken_are_named_and_no_others(place: Workplace, tmp_path: Path):
    log = log_of([("a", "b"), ("c", "d")], texts=True)
    scores = {"value_by_index": {"0": {"score": 1.0}, "1": {"score": 2.0}}}
    known = {"mia_loss": {"forget": scores, "holdout": scores}, "mia_zlib": {"agg_value": 0.5}, "privleak": {}}
    unknown = {
        "mia_foo": {"forget": scores, "holdout": scores}, "forget_Q_A_gibberish": scores, "extraction_strength": {},
    }  # fmt: skip
    import_logs(place, [write(tmp_path / "TOFU_EVAL.json", log | known | {"forget_quality": {"agg_value": 1.0}})])
    assert not place.progress.warned
    import_logs(place, [write(tmp_path / "more" / "TOFU_EVAL.json", log | known | unknown)])
    (said,) = place.progress.warned
    assert said.startswith("not taken") and said.endswith(f": {', '.join(unknown)}")


def test_one_side_of_an_attack_is_kept_without_the_other(place: Workplace, tmp_path: Path):
    log = {"mia_loss": {"forget": {"value_by_index": {"0": {"score": 1.0}, "1": {"score": 3.0}}}, "agg_value": 0.5}}
    (found,) = import_logs(place, [write(tmp_path / "TOFU_EVAL.json", log)])
    assert (found.report.metrics["forget.loss"].value, found.report.aggregates["auc_loss"].reason) == (2.0, "no_scores")
