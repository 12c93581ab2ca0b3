"""`export`: rows of the store as a file for other programs, whole or not at all, however many there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput
from unlearnkit.report.written import check_file, replaced
from unlearnkit.text import inert

if TYPE_CHECKING:
    import pyarrow as pa

    from unlearnkit.runs.workplace import Workplace


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    what: str
    file: Path
    rows: int

    def json(self) -> dict[str, Any]:
        return {"what": self.what, "file": str(self.file), "rows": self.rows}


def export(
    place: Workplace, what: str, to: str | Path, runs: Sequence[str] | None = None, *, force: bool = False
) -> Exported:
    """Write rows of runs, or of all complete ones, to a file whose ending says its form.

    Args:
        what: "scores", "results", "generations", "aggregates" or "steps"; `docs/export.md` names their columns.
        to: a .parquet, .csv or .jsonl file.
        force: replace a file that is there.

    Raises:
        BadInput: codes `ending`, `exists`, `export`; NotFound: no such run or store, or a run that is removed
            meanwhile; UnlearnkitError: code `write`.
    """
    file = Path(to)
    if file.suffix not in WRITERS:
        raise BadInput(f"--to {file}: its ending says no form", hint=f"one of {', '.join(WRITERS)}", code="ending")
    check_file(file, force=force)
    pieces = place.reading().pieces(what, runs)
    from unlearnkit.store.export import arrow_schema

    with replaced(file) as new:
        return Exported(what, file, WRITERS[file.suffix](new, arrow_schema(what), pieces))


def _parquet(file: Path, of: pa.Schema, pieces: Iterable[pa.Table]) -> int:
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetWriter(file, of) as writer:
        for piece in pieces:
            writer.write_table(piece)
            rows += piece.num_rows
    return rows


def _csv(file: Path, of: pa.Schema, pieces: Iterable[pa.Table]) -> int:
    """What does not exist is an empty cell, an empty text is "" in quotation marks."""
    import pyarrow as pa
    import pyarrow.csv as pc

    rows = 0
    texts = [i for i, field in enumerate(of) if field.type == pa.string()]
    with pc.CSVWriter(file, of) as writer:
        for piece in pieces:
            for i in texts:
                cells = [None if cell is None else inert(cell) for cell in piece.column(i).to_pylist()]
                piece = piece.set_column(i, of.field(i), pa.array(cells, pa.string()))  # noqa: PLW2901
            writer.write(piece)
            rows += piece.num_rows
    return rows


def _jsonl(file: Path, of: pa.Schema, pieces: Iterable[pa.Table]) -> int:
    del of
    rows = 0
    with file.open("w", encoding="utf-8") as lines:
        for piece in pieces:
            lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in piece.to_pylist())
            rows += piece.num_rows
    return rows


WRITERS: dict[str, Callable[[Path, pa.Schema, Iterable[pa.Table]], int]] = {
    ".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl,
}  # fmt: skip
"""By ending: write pieces to a file, and say how many rows they had."""
