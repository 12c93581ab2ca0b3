"""`export` and frames against the store's own rows, read by other means; whole files or none; piece by piece."""

from __future__ import annotations

import csv
import json
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from conftest import Answer

import unlearnkit
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.report.export import export
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store, new_id
from unlearnkit.store import export as pieces
from unlearnkit.store.records import Generation, Model, Result, Run, ScoreRow, StepRow

from .conftest import Lab

Cli = Callable[..., Answer]

QUERIES = {
    "scores": "SELECT run, sample, value, stderr, n, status, clamped FROM score",
    "results": "SELECT run, split, metric, sample, value, status FROM result",
    "generations": "SELECT run, split, sample, text FROM generation",
    "aggregates": "SELECT run, name, NULLIF(reference, '') AS reference, value, low, high, n, reason FROM aggregate",
    "steps": "SELECT run, step, j.key AS term, j.value AS value FROM step, json_each(terms) AS j",
}
ORDER = {
    "scores": ["run", "sample"],
    "results": ["run", "split", "metric", "sample"],
    "generations": ["run", "split", "sample"],
    "aggregates": ["run", "name", "reference"],
    "steps": ["run", "step", "term"],
}


def stored(path: Path, what: str) -> list[dict[str, Any]]:
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        return sorted(map(dict, db.execute(QUERIES[what])), key=by(what))


def by(what: str) -> Callable[[dict[str, Any]], list[str]]:
    return lambda row: [str(row[key]).zfill(9) for key in ORDER[what]]


def read(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    convert = pc.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    return pc.read_csv(file, convert_options=convert).to_pylist()


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("what", QUERIES)
def test_a_file_has_the_stores_rows(what: str, form: str, cli: Cli, lab: Lab):
    found = cli("export", what, "--to", f"out/x.{form}", "--store", lab.store, "--format", "json")
    assert found.code == 0, found.err
    rows = sorted(read(Path("out", f"x.{form}")), key=by(what))
    expected = stored(lab.store, what)
    assert found.json == {"what": what, "file": f"out/x.{form}", "rows": len(expected)}
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected


def test_rows_say_what_they_are_about(cli: Cli, lab: Lab):
    assert cli("export", "results", "--to", "x.jsonl", "--store", lab.store).code == 0
    about = {row["run"]: {name: row[name] for name in pieces.ABOUT} for row in read(Path("x.jsonl"))}
    mrd, before = about[lab.evaluated["mrd"]], about[lab.evaluated["before"]]
    assert mrd == {
        "run": lab.evaluated["mrd"], "kind": "eval", "method": "tofu", "algorithm": "graddiff", "sampler": "mrd",
        "seed": 0, "model": mrd["model"],
    }  # fmt: skip
    assert (before["algorithm"], before["sampler"]) == (None, None) and before["model"].endswith(lab.model.name)


def test_runs_are_named_as_everywhere(cli: Cli, lab: Lab):
    run = lab.evaluated["mrd"]
    assert cli("export", "results", run, "--to", "x.jsonl", "--store", lab.store).code == 0
    assert {row["run"] for row in read(Path("x.jsonl"))} == {run}
    unknown = cli("export", "results", "01XXXX", "--to", "y.jsonl", "--store", lab.store, "--format", "json")
    assert (unknown.code, unknown.error["code"], Path("y.jsonl").exists()) == (3, "run", False)


def test_runs_are_found_by_a_condition(cli: Cli, lab: Lab):
    where = "kind=eval and sampler=mrd"
    assert cli("export", "results", "--where", where, "--to", "x.jsonl", "--store", lab.store).code == 0
    assert {row["run"] for row in read(Path("x.jsonl"))} == {lab.evaluated["mrd"]}
    assert unlearnkit.frame("results", where=where, store=lab.store).run.unique().tolist() == [lab.evaluated["mrd"]]
    none = cli("export", "results", "--where", "sampler=no", "--to", "y.jsonl", "--store", lab.store)
    assert (none.code, Path("y.jsonl").exists()) == (3, False)
    both = cli("export", "results", lab.scored, "--where", where, "--to", "y.jsonl", "--store", lab.store)
    assert (both.code, Path("y.jsonl").exists()) == (2, False)


@pytest.mark.parametrize(
    ("name", "code"), [("x.txt", "ending"), ("x", "ending"), ("there.csv", "exists"), ("folder.csv", "value")]
)
def test_what_cannot_be_written_is_refused_at_once(name: str, code: str, cli: Cli, lab: Lab):
    Path("there.csv").write_text("mine")
    Path("folder.csv").mkdir()
    found = cli("export", "results", "--to", name, "--store", lab.store, "--format", "json")
    assert (found.code, found.error["code"]) == (2, code)
    assert Path("there.csv").read_text() == "mine"
    assert cli("export", "results", "--to", "there.csv", "--force", "--store", lab.store).code == 0
    assert len(read(Path("there.csv"))) > 10


# ------------------------------------------------------------------------------------------------- a store of made rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "made.db") as opened:
        opened.put_model(Model("f" * 64, "tiny", "llama", 10))
        yield opened


def a_run(store: Store, **changes: Any) -> str:
    values: dict[str, Any] = {
        "id": new_id(), "kind": "eval", "identity": new_id(), "state": "complete", "method": "tofu", "model": "f" * 64,
        "datasets": {}, "config": {}, "environment": {},
    }  # fmt: skip
    return store.begin(Run(**{**values, **changes}))[0].id


def results(n: int) -> list[Result]:
    return [Result("forget", "probability", f"{i:064x}", i / n) for i in range(n)]


HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@x",
    "\t=1",
    'a "quoted", cell',
    "two\nlines",
    "",
    "plain",
    "\x1b[31m",
    "'",
]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_texts_come_back_and_no_cell_is_a_formula(form: str, store: Store, tmp_path: Path):
    run = a_run(store)
    store.put_results(run, [], [Generation("forget", f"{i:02}", text) for i, text in enumerate(HOSTILE)])
    file = tmp_path / f"x.{form}"
    with Workplace(Settings(store=str(store.path))) as place:
        export(place, "generations", file)
    texts = [row["text"] for row in read(file)]
    if form != "csv":
        assert texts == HOSTILE
        return
    with file.open(newline="", encoding="utf-8") as lines:  # by another reader
        assert [row["text"] for row in csv.DictReader(lines)] == texts
    assert [text.removeprefix("'") if text != "'" else text for text in texts] == HOSTILE
    assert not any(text[:1] in "=+-@\t" for text in texts if text)


def test_what_does_not_exist_stays_null(store: Store, tmp_path: Path):
    run = a_run(store, kind="score")
    store.put_scores(run, [ScoreRow("a", None, None, 0, "nonfinite"), ScoreRow("b", 0.0, None, 1, details={"k": 1.5})])
    for form in ("parquet", "csv", "jsonl"):
        with Workplace(Settings(store=str(store.path))) as place:
            export(place, "scores", tmp_path / f"x.{form}")
        first, second = read(tmp_path / f"x.{form}")
        assert (first["value"], first["stderr"], first["status"], second["value"]) == (None, None, "nonfinite", 0.0)
        assert json.loads(second["details"]) == {"k": 1.5}
    frame = store.frame("scores")
    assert frame.value.isna().tolist() == [True, False]


def test_pages_lose_and_repeat_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "BATCH", 7)
    sizes = [0, 1, 6, 7, 8, 14, 40]
    runs = [a_run(store) for _ in sizes]
    for run, n in zip(runs, sizes, strict=True):
        store.put_results(run, results(n))
    found = list(store.pieces("results"))
    assert all(7 <= piece.num_rows < 14 for piece in found[:-1])
    rows = [(row["run"], row["sample"]) for row in pa.concat_tables(found).to_pylist()]
    assert rows == [(run, f"{i:064x}") for run, n in zip(runs, sizes, strict=True) for i in range(n)]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_memory_does_not_grow_with_the_store(form: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "BATCH", 50)
    small, large = a_run(store), a_run(store)
    store.put_results(small, results(300))
    store.put_results(large, results(3_000))
    peaks = {}
    with Workplace(Settings(store=str(store.path))) as place:
        export(place, "results", tmp_path / f"first.{form}", [small])  # whatever is imported or cached once
        for run in (small, large):
            tracemalloc.start()
            assert export(place, "results", tmp_path / f"{run}.{form}", [run]).rows == (300 if run == small else 3_000)
            peaks[run] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peaks[large] < 2 * peaks[small]  # ten times the rows: Parquet's footer knows every piece


def test_rows_are_read_as_they_are_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "BATCH", 10)
    store.put_results(a_run(store), results(100))
    asked: list[str] = []
    sa.event.listen(store._engine, "before_cursor_execute", lambda *event: asked.append(event[2]))
    found = store.pieces("results")
    next(found)
    assert sum("FROM result" in query for query in asked) == 1


def test_a_failure_on_the_way_leaves_what_was_there(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "BATCH", 10)
    store.put_results(a_run(store), results(100))
    file = tmp_path / "out" / "x.jsonl"
    file.parent.mkdir()
    file.write_text("before")
    page = Store._page

    def fail(self: Store, query: Any) -> Any:
        if len(list(file.parent.iterdir())) == 2:  # the new one has been begun
            raise KeyboardInterrupt
        return page(self, query)

    monkeypatch.setattr(Store, "_page", fail)
    with Workplace(Settings(store=str(store.path))) as place, pytest.raises(KeyboardInterrupt):
        export(place, "results", file, force=True)
    assert [(f.name, f.read_text()) for f in file.parent.iterdir()] == [("x.jsonl", "before")]


@pytest.mark.parametrize("after", [0, 1, 9, 10])
def test_a_run_that_is_removed_meanwhile_is_no_part_of_a_file(
    after: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pieces, "BATCH", 10)
    run = a_run(store)
    store.put_results(run, results(100))
    page, asked = Store._page, []

    def late(self: Store, query: Any) -> Any:
        if len(asked) == after:
            with Store.open(store.path or "") as other:
                other.remove_run(run)
        asked.append(query)
        return page(self, query)

    monkeypatch.setattr(Store, "_page", late)
    with Workplace(Settings(store=str(store.path))) as place, pytest.raises(NotFound, match=run):
        export(place, "results", tmp_path / "x.jsonl")
    assert not list(tmp_path.glob("*x.jsonl*"))


def test_a_run_that_is_named_twice_is_there_once(store: Store):
    run = a_run(store)
    store.put_results(run, results(3))
    assert len(store.frame("results", [run, "@last", store.run(run)])) == 3


def test_runs_that_are_not_complete_are_exported_by_name_alone(store: Store):
    done, stopped = a_run(store, kind="unlearn", method="npo"), a_run(store, kind="unlearn", state="failed")
    for run in (done, stopped):
        store.put_steps(run, [StepRow(1, {"loss": 2.0, "lr": 1e-3})])
    assert store.frame("steps").run.unique().tolist() == [done]
    assert store.frame("steps", [stopped]).run.unique().tolist() == [stopped]
    assert store.frame("steps", store.runs(state="failed")).run.unique().tolist() == [stopped]


# --------------------------------------------------------------------------------------------------------------- frames


def test_a_frame_is_what_parquet_has(cli: Cli, lab: Lab):
    for what in QUERIES:
        assert cli("export", what, "--to", f"{what}.parquet", "--store", lab.store).code == 0
        pd.testing.assert_frame_equal(unlearnkit.frame(what, store=lab.store), pd.read_parquet(f"{what}.parquet"))


def test_an_empty_frame_has_its_columns(store: Store):
    assert list(store.frame("steps").columns) == [*pieces.ABOUT, "step", "term", "value"]


def test_frames_of_what_is_not_there(store: Store):
    with pytest.raises(BadInput, match="nothing called"):
        store.frame("result")
