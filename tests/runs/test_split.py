"""`split` writes every row once, unchanged, by score, and replaces nothing unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec, load_samples
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.runs.split import split

from .lab import IDS, TEXTS, Lab, N

MRD = [float(x) for x in (5, 2, 7, 1, 9, 12, 3, 8, 6, 4, 11, 10)]


def write(path: Path, rows: list[dict[str, Any]]) -> DataSpec:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return DataSpec(str(path))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [{"id": i, "question": q, "answer": a, "tags": ["é", None]} for i, (q, a) in enumerate(TEXTS)]


@pytest.fixture
def data(rows: list[dict[str, Any]], tmp_path: Path) -> DataSpec:
    return write(tmp_path / "forget.jsonl", rows)


def test_parts_hold_every_row_once_by_score(
    lab: Lab,
    data: DataSpec,
    rows: list[dict[str, Any]],
    tmp_path: Path,
):
    run = lab.scores(MRD)
    found = split(lab.place, data=data, scores=run, count=5, out=str(tmp_path / "out"))
    files = [tmp_path / "out" / f"forget-{i}-of-5.jsonl" for i in range(1, 6)]
    assert sorted((tmp_path / "out").iterdir()) == files
    parts = [read(file) for file in files]
    assert [len(part) for part in parts] == [3, 3, 2, 2, 2] == [b.rows for b in found.bins]
    assert sorted((row for part in parts for row in part), key=lambda row: row["id"]) == rows
    for part, told in zip(parts, found.bins, strict=True):
        values = [MRD[row["id"]] for row in part]
        assert (told.low, told.high) == (min(values), max(values))
        assert [row["id"] for row in part] == sorted(row["id"] for row in part)
    assert [b.high < c.low for b, c in zip(found.bins, found.bins[1:], strict=False)] == [True] * 4  # type: ignore[operator]
    assert load_samples(DataSpec(str(files[0]))).samples[0].id in IDS
    assert (found.scored.high_means, found.unscored, found.skipped) == ("easy", 0, 0)


def test_a_text_in_several_rows_stays_in_one_part(
    lab: Lab,
    rows: list[dict[str, Any]],
    tmp_path: Path,
):
    run = lab.scores(MRD)
    data = write(tmp_path / "twice.jsonl", [*rows, {**rows[3], "id": "again"}])
    found = split(lab.place, data=data, scores=run, count=2, out=str(tmp_path))
    assert [b.rows for b in found.bins] == [7, 6]
    assert {3, "again"} <= {row["id"] for row in read(found.bins[0].file)}


def test_rows_without_a_score_are_counted_or_written(
    lab: Lab,
    data: DataSpec,
    rows: list[dict[str, Any]],
    tmp_path: Path,
):
    run = lab.scores([None, *MRD[1:9]], ids=IDS[:9])
    found = split(lab.place, data=data, scores=run, count=2, out=str(tmp_path / "a"))
    assert ([b.rows for b in found.bins], found.unscored, found.unscored_file) == ([4, 4], 4, None)
    found = split(lab.place, data=data, scores=run, count=2, out=str(tmp_path / "b"), unscored=True)
    assert found.unscored_file is not None
    assert read(found.unscored_file.file) == [rows[i] for i in (0, 9, 10, 11)]
    assert found.unscored_file.file.name == "forget-unscored.jsonl"


def test_bad_rows_that_were_skipped_are_counted(
    lab: Lab,
    rows: list[dict[str, Any]],
    tmp_path: Path,
):
    run = lab.scores(MRD)
    bad = write(tmp_path / "bad.jsonl", [{"question": "?", "answer": ""}, *rows])
    with pytest.raises(UnlearnkitError, match="row 1"):
        split(lab.place, data=bad, scores=run, out=str(tmp_path / "out"))
    found = split(
        lab.place, data=DataSpec(bad.source, on_bad_row="skip"), scores=run, out=str(tmp_path / "out"), unscored=True
    )
    assert (found.skipped, found.unscored, sum(b.rows for b in found.bins)) == (1, 0, N)


def test_nothing_is_replaced_unasked(lab: Lab, data: DataSpec, tmp_path: Path):
    run, out = lab.scores(MRD), tmp_path / "out"
    out.mkdir()
    (out / "forget-2-of-3.jsonl").write_text("mine")
    with pytest.raises(BadInput, match=r"forget-2-of-3\.jsonl is there already") as refused:
        split(lab.place, data=data, scores=run, out=str(out))
    assert "--force" in str(refused.value.hint)
    assert [file.name for file in out.iterdir()] == ["forget-2-of-3.jsonl"]
    assert (out / "forget-2-of-3.jsonl").read_text() == "mine"
    split(lab.place, data=data, scores=run, out=str(out), force=True)
    assert len(read(out / "forget-2-of-3.jsonl")) == 4


def test_other_formats_become_jsonl_with_their_columns(lab: Lab, tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    run = lab.scores(MRD)
    questions, answers = zip(*TEXTS, strict=True)
    table = {"question": list(questions), "answer": list(answers), "n": list(range(N))}
    parquet.write_table(pa.table(table), tmp_path / "set.parquet")
    found = split(lab.place, data=DataSpec(str(tmp_path / "set.parquet")), scores=run, out=str(tmp_path))
    assert sorted(row["n"] for b in found.bins for row in read(b.file)) == list(range(N))
    parquet.write_table(pa.table({**table, "raw": [b"x"] * N}), tmp_path / "bytes.parquet")
    with pytest.raises(UnlearnkitError, match="row 1 has a value that JSON cannot hold"):
        split(lab.place, data=DataSpec(str(tmp_path / "bytes.parquet")), scores=run, out=str(tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_the_scores_must_be_named_and_there(lab: Lab, data: DataSpec, tmp_path: Path):
    run, out = lab.scores(MRD[:2], ids=IDS[:2]), str(tmp_path / "out")
    for both in ({}, {"scores": run, "model": "my-model"}):
        with pytest.raises(BadInput, match="one of them"):
            split(lab.place, data=data, out=out, **both)
    with pytest.raises(BadInput, match="too few for 3 parts"):
        split(lab.place, data=data, scores=run, out=out)
    with pytest.raises(BadInput, match="--bins"):
        split(lab.place, data=data, scores=run, count=1, out=out)
    with pytest.raises(NotFound, match="01ABCD"):
        split(lab.place, data=data, scores="01ABCD", out=out)
    assert not Path(out).exists()
