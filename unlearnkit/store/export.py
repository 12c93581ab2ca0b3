"""Rows of many runs with what they are about, in pieces: what a store holds may be more than memory does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.store import schema
from unlearnkit.store.records import Run
from unlearnkit.store.runs import Runs

if TYPE_CHECKING:
    import pandas
    import pyarrow

BATCH = 10_000
"""Rows in a piece, at the least."""
ABOUT = {
    "run": "string", "kind": "string", "method": "string", "algorithm": "string", "sampler": "string", "seed": "int64",
    "model": "string",
}  # fmt: skip
"""Columns of every export, with their Arrow types."""
EXPORTS = {
    "scores": (
        schema.score,
        {
            "sample": "string", "value": "float64", "stderr": "float64", "n": "int64", "status": "string",
            "clamped": "int64", "details": "string",
        },
    ),
    "results": (
        schema.result,
        {"split": "string", "metric": "string", "sample": "string", "value": "float64", "status": "string"},
    ),
    "generations": (schema.generation, {"split": "string", "sample": "string", "text": "string"}),
    "aggregates": (
        schema.aggregate,
        {
            "name": "string", "reference": "string", "value": "float64", "low": "float64", "high": "float64",
            "n": "int64", "reason": "string",
        },
    ),
    "steps": (schema.step, {"step": "int64", "term": "string", "value": "float64"}),
}  # fmt: skip
"""What can be exported: its table, and the columns behind those of every export."""


class Export(Runs):
    def frame(self, what: str, runs: Sequence[str | Run] | None = None) -> pandas.DataFrame:
        """Rows of runs, or of all complete ones, as a pandas DataFrame; `docs/export.md` names its columns. What does
        not exist is NaN or None.

        Args:
            what: "scores", "results", "generations", "aggregates" or "steps".
            runs: the runs themselves, such as `unlearnkit.runs.where` finds, or ids, unique prefixes, "@last". One
                that is named twice is read once.

        Raises:
            NotFound, BadInput: a reference that means no run, or several; code `export`: no such rows. NotFound also
                for a run that is removed while it is read: what came of it is not all.
            UnlearnkitError: code `pandas`, where that is not installed.
        """
        try:
            import pandas  # noqa: F401 - pyarrow's own message would name no remedy
        except ImportError as error:
            raise UnlearnkitError("frames need pandas", hint="pip install pandas", code="pandas") from error
        import pyarrow as pa

        return pa.concat_tables([arrow_schema(what).empty_table(), *self.pieces(what, runs)]).to_pandas()

    def pieces(self, what: str, runs: Sequence[str | Run] | None = None) -> Iterator[pyarrow.Table]:
        """The rows of `frame` as Arrow tables, one after the other: some `BATCH` rows are in memory at once. Runs are
        looked up when this is called, rows are read as they are asked for."""
        of = arrow_schema(what)
        named = (
            self.runs(state="complete")[::-1]
            if runs is None
            else [ref if isinstance(ref, Run) else self.run(ref) for ref in runs]
        )
        once = {run.id: run for run in named}
        return _filled(batch for run in once.values() for batch in self._pieces(what, run, of))

    def _pieces(self, what: str, run: Run, of: pyarrow.Schema) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa

        about = self._about(run)
        for rows in self._pages(EXPORTS[what][0], run.id):
            values = COLUMNS.get(what, _columns)(rows, [name for name in of.names if name not in ABOUT])
            n = len(next(iter(values.values())))
            arrays = [pa.array(values[f.name] if f.name in values else [about[f.name]] * n, f.type) for f in of]
            yield pa.RecordBatch.from_arrays(arrays, schema=of)

    def _about(self, run: Run) -> dict[str, Any]:
        """Columns that are the same for all rows of a run. `algorithm`, `sampler` and `seed` are of the run that made
        the model that an evaluation or an attack looks at."""
        trained = self.run(run.parent) if run.parent and run.kind in ("eval", "attack") else run
        called = sa.select(schema.model.c.source).where(schema.model.c.fingerprint == run.model)
        with self._read() as connection:
            model = connection.scalar(called)
        return {
            "run": run.id,
            "kind": run.kind,
            "method": run.method,
            "algorithm": trained.method if trained.kind in ("unlearn", "finetune") else None,
            "sampler": trained.config.get("sampler"),
            "seed": trained.seed,
            "model": model or run.summary.get("label"),
        }

    def _pages(self, table: sa.Table, run_id: str) -> Iterator[Sequence[sa.RowMapping]]:
        """A run's rows in the order of their key. Each page is read in a transaction of its own, behind the end of the
        last one; that all were, is sure of a run that is still there after the last."""
        key = [column for column in table.primary_key if column.name != "run"]
        query = page = sa.select(table).where(table.c.run == run_id).order_by(*key).limit(BATCH)
        while rows := self._page(page):
            yield rows
            last = (sa.literal(rows[-1][column.name], column.type) for column in key)
            page = query.where(sa.tuple_(*key) > sa.tuple_(*last))
        self.run(run_id)

    def _page(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        with self._read() as connection:
            return connection.execute(query).mappings().all()


def arrow_schema(what: str) -> pyarrow.Schema:
    """An export's columns.

    Raises:
        BadInput: code `export`.
    """
    import pyarrow as pa

    if what not in EXPORTS:
        raise BadInput(f'there is nothing called "{what}" to export', hint=", ".join(EXPORTS), code="export")
    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    return pa.schema([(name, types[kind]) for name, kind in {**ABOUT, **EXPORTS[what][1]}.items()])


def _columns(rows: Sequence[sa.RowMapping], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def _of_scores(rows: Sequence[sa.RowMapping], names: Sequence[str]) -> dict[str, list[Any]]:
    """Other figures of a scorer differ from scorer to scorer: they are JSON."""
    columns = _columns(rows, names)
    return {**columns, "details": [json.dumps(details, sort_keys=True) for details in columns["details"]]}


def _of_aggregates(rows: Sequence[sa.RowMapping], names: Sequence[str]) -> dict[str, list[Any]]:
    columns = _columns(rows, names)
    return {**columns, "reference": [reference or None for reference in columns["reference"]]}


def _of_steps(rows: Sequence[sa.RowMapping], names: Sequence[str]) -> dict[str, list[Any]]:
    """A row for each term of each step: their names differ from algorithm to algorithm."""
    terms = [(row["step"], term, value) for row in rows for term, value in row["terms"].items()]
    return dict(zip(names, map(list, zip(*terms, strict=True)), strict=True)) if terms else {n: [] for n in names}


COLUMNS = {"scores": _of_scores, "aggregates": _of_aggregates, "steps": _of_steps}
"""How rows of a table become columns, where these are not the table's own."""


def _filled(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.Table]:
    """Batches, of which those of small runs are few rows each, as tables of `BATCH` rows or more."""
    import pyarrow as pa

    waiting: list[pyarrow.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= BATCH:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
