"""Samples before and after unlearning, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.report.charts.steps import thinned
from unlearnkit.report.collect import ranking
from unlearnkit.report.html.cells import Cell, Table, head, number
from unlearnkit.report.sheet import figure, significant
from unlearnkit.report.twin import twin
from unlearnkit.runs.about import about as called
from unlearnkit.runs.scored import bins, scored

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated
    from unlearnkit.report.subject import Subject
    from unlearnkit.store.records import Run

PAIRS = 4
"""Unlearned models whose samples are shown, the newest."""
ROWS = 200
"""Samples of each; of more, evenly spaced ranks of difficulty."""
SPLIT = "forget"
METRICS = ("probability", "rouge")


@dataclass(frozen=True)
class Samples:
    tables: list[Table]
    notes: list[str]


def samples(about: Subject, *, text: bool) -> Samples:
    """A table for each unlearned model that was asked the same as the model before it.

    Args:
        text: show questions, answers and generations, of what the store holds of them.
    """
    pairs = [(e, before) for e in about.found.evaluated if (before := _before(about, e)) is not None]
    if not pairs:
        return Samples([], ["No unlearned model and the model before it were both asked the same."])
    tables = [_table(about, e, before, text=text) for e, before in pairs[-PAIRS:]]
    notes = [] if len(pairs) <= PAIRS else [f"Of {len(pairs)} unlearned models the newest {PAIRS} are shown."]
    if not text:
        notes.append("Questions and answers are left out: --text shows those that the store holds.")
    elif not any(_texts(about, e.run) for e, _ in pairs):
        notes.append("The store holds no texts of these samples: they are kept by --store-text alone.")
    return Samples(tables, notes)


def _before(about: Subject, e: Evaluated) -> Run | None:
    """The evaluation of the model that unlearning began with, that asked the same."""
    if e.writer is None or e.writer.kind != "unlearn" or SPLIT not in e.run.datasets:
        return None
    found = about.place.reading().runs(kind="eval", state="complete", model=e.writer.model)
    return twin(about.place, found, e.run)


def _table(about: Subject, e: Evaluated, before: Run, *, text: bool) -> Table:
    store = about.place.reading()
    by = ranking(about.place, e.run, e.writer, store.runs(kind="score", state="complete"))
    of = None if by is None else scored(about.place, by)
    values = {} if of is None else of.defined
    third = {s: t for t, part in zip(of.thirds, bins(values, 3), strict=True) for s in part} if of else {}
    now, then = _values(about, e.run), _values(about, before)
    rows = [row for row in store.rows(e.run.datasets[SPLIT]) if row.sample is not None]
    ids = sorted((str(row.sample) for row in rows), key=lambda s: (values.get(s, float("inf")), s))
    texts = {str(row.sample): row for row in rows}
    said, said_before = (_texts(about, run) if text else {} for run in (e.run, before))
    heads = [head("sample"), head(of.name if of else "difficulty", number=True), head("third")]
    heads += [head(name, number=True, small="before → after") for name in METRICS]
    heads += [head(name) for name in ("question and answer", "said before", "says now")] if text else []
    made = []
    for sample in thinned(ids, ROWS):
        value, row = values.get(sample), texts[sample]
        cells = [
            Cell(sample[:8], whole=sample), number(value, text=significant(value)), Cell(third.get(sample, "")),
            *(_change(then.get((name, sample)), now.get((name, sample))) for name in METRICS),
        ]  # fmt: skip
        asked = Cell(row.prompt or "–", row.answer or "", prose=True)
        answers = (Cell(found.get(sample) or "–", prose=True) for found in (said_before, said))
        made.append([*cells, asked, *answers] if text else cells)
    model = called(store, [before])[before.id].model
    return Table(f"{about.name(e)}: each sample before unlearning, by {model}, and after", heads, made)


def _values(about: Subject, run: Run) -> dict[tuple[str, str], float]:
    found = about.place.reading().results(run.id)
    return {(r.metric, r.sample): r.value for r in found if r.split == SPLIT and r.value is not None}


def _texts(about: Subject, run: Run) -> dict[str, str]:
    return {g.sample: g.text for g in about.place.reading().generations(run.id) if g.split == SPLIT}


def _change(before: float | None, after: float | None) -> Cell:
    """Ordered by the change."""
    change = None if before is None or after is None else after - before
    return Cell(f"{figure(before)} → {figure(after)}", sort=change, number=True)
