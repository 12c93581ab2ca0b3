"""Taking in what another store holds, so that work done on two machines adds up.

Whatever stands under a key of all that determines it is the same thing on both sides: what is missing here is copied,
what is here stays. Draws must be equal to the bit: where they are not, something that decides them is not in their key,
and mixing them would make a score that no machine measures. So nothing of such a series is taken, nor what came of it.

A run's id was drawn at random, its kind and identity were not. A run that both made keeps its id here, and whatever
came along and refers to it is written with that id. Checkpoints stay where they are: they are for going on at once, on
the machine that made them.

All of it is one transaction: a process that is killed leaves the store as it was, and a second import finds all of it
there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import chain, groupby
from typing import Any

import sqlalchemy as sa

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.store import connect, schema
from unlearnkit.store.base import CHUNK, chunks, put
from unlearnkit.store.connect import Place
from unlearnkit.store.ids import new_id
from unlearnkit.store.process import now
from unlearnkit.store.records import Finding, Run
from unlearnkit.store.runs import RUN, Runs
from unlearnkit.store.scores import BLOCK, whole

APART = (schema.checkpoint, schema.run_tag, schema.figure)
"""Rows that belong to one run and do not come with it: checkpoints; tags, which are of both sides; and figures, which
are made from results when they are asked for."""
OF_RUNS = [t for t in schema.metadata.sorted_tables if "run" in t.c and t not in APART]
"""Tables whose rows belong to one run, and come with it."""
REFERENCES = {schema.draw_order: "scores", schema.aggregate: "reference"}
"""Their columns that name another run."""
OUTCOMES = ("taken", "present", "refused")


@dataclass(frozen=True)
class Merged:
    """What came of an import. `counts` has, by kind of thing, how many were taken, were present already, and were
    refused; `findings` say what was refused and why, and where the two stores chose differently."""

    store: str
    """The other store's own id."""
    counts: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]


class Merge(Runs):
    def merge(self, other: Runs, *, dry_run: bool = False) -> Merged:
        """Take in all that another store holds and this one does not. Of an unfinished run here that nobody works on
        and that is complete there, theirs is taken under the id that it has here.

        :param dry_run: find out what would be taken, and take nothing.
        :raises BadInput: the other store is this one, or no file.
        :raises UnlearnkitError: code "corrupt" where the other holds what no store writes; nothing is taken then.
        """
        if other.path is None:
            raise BadInput("only a store in a file can be imported", hint="import into the server, from files")
        if self.path is not None and self.path.samefile(other.path):
            raise BadInput(f"{other.path} is the store itself", hint="name another store's file", code="same-store")
        try:
            with other._read() as source, self._write() as target:
                work = _Work(_Theirs(other._place, source), target)
                work.keyed()
                with connect.plainly(other._place):
                    theirs = other._runs(source, sa.select(schema.run))
                work.runs(self._runs(target, sa.select(schema.run)), theirs, other.uuid)
                if dry_run:
                    target.rollback()
        except ValueError as error:
            raise UnlearnkitError(
                f"{other.path} holds what unlearnkit does not write: {error}", hint="nothing was taken", code="corrupt"
            ) from error
        if not dry_run:
            self._drop_files(work.files)
        kinds = dict.fromkeys(what for what, _ in work.counts)
        counts = {what: {outcome: work.counts[what, outcome] for outcome in OUTCOMES} for what in kinds}
        return Merged(other.uuid, counts, tuple(work.findings))


@dataclass(frozen=True)
class _Theirs:
    """The other store at one moment, read in parts. What goes wrong in it is said of it."""

    place: Place
    connection: sa.Connection

    def parts(self, query: sa.Select[Any]) -> Iterator[list[dict[str, Any]]]:
        with connect.plainly(self.place):
            found = self.connection.execute(query, execution_options={"yield_per": CHUNK})
            for part in found.mappings().partitions():
                yield [dict(row) for row in part]

    def rows(self, query: sa.Select[Any]) -> Iterator[dict[str, Any]]:
        return chain.from_iterable(self.parts(query))


@dataclass
class _Work:
    """One import, under way."""

    theirs: _Theirs
    target: sa.Connection
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Of checkpoints that are not needed any more."""
    refused: set[str] = field(default_factory=set)
    """Series."""

    # ------------------------------------------------------------------------------------- what stands under its key

    def keyed(self) -> None:
        """Models, data sets, draws, choices and anchors."""
        self._missing("model", schema.model)
        here = self._missing("data set", schema.dataset)
        for rows in self.theirs.parts(sa.select(schema.dataset_row)):
            put(self.target, schema.dataset_row, [row for row in rows if (row["dataset"],) not in here], replace=False)
            self._add_texts([row for row in rows if (row["dataset"],) in here])
        query = sa.select(schema.block).order_by(BLOCK.series, BLOCK.draw, BLOCK.sign, BLOCK.shard)
        for series, blocks in groupby(self.theirs.rows(query), key=lambda row: str(row["series"])):
            self._take_series(series, list(blocks))
        for (key,), (mine, other) in self._missing("calibration", schema.calibration).items():
            if mine["value"] != other["value"]:
                message = f"calibration {key[:12]}…: another choice was made here, and stays"
                self.findings.append(Finding("calibration", message, harmless=True))
        # Not compared: their last bits depend on which samples shared a batch.
        self._missing("anchor", schema.anchor)

    def _missing(self, what: str, table: sa.Table) -> dict[tuple[Any, ...], tuple[Mapping[str, Any], dict[str, Any]]]:
        """Copy rows whose key is not here; those whose key is, by key: ours and theirs."""
        keys = [column.name for column in table.primary_key]
        both: dict[tuple[Any, ...], tuple[Mapping[str, Any], dict[str, Any]]] = {}
        for rows in self.theirs.parts(sa.select(table)):
            by_key = {tuple(row[key] for key in keys): row for row in rows}
            held = sa.select(table).where(sa.tuple_(*table.primary_key).in_(list(by_key)))
            for mine in self.target.execute(held).mappings().all():
                key = tuple(mine[key] for key in keys)
                both[key] = dict(mine), by_key.pop(key)
            put(self.target, table, list(by_key.values()), replace=False)
            self.counts[what, "taken"] += len(by_key)
        self.counts[what, "present"] += len(both)
        return both

    def _add_texts(self, rows: list[dict[str, Any]]) -> None:
        """Texts of rows that stand here without one."""
        table = schema.dataset_row.c
        with_text = [row for row in rows if row["prompt"] is not None or row["answer"] is not None]
        if with_text:
            same = [table[name] == sa.bindparam(f"their_{name}") for name in ("dataset", "position", "sample")]
            change: dict[str, Any] = {name: sa.bindparam(f"their_{name}") for name in ("prompt", "answer")}
            bare = (table.prompt.is_(None), table.answer.is_(None))
            done = self.target.execute(
                sa.update(schema.dataset_row).where(*same, *bare).values(change),
                [{f"their_{name}": value for name, value in row.items()} for row in with_text],
            )
            self.counts["text", "taken"] += done.rowcount

    def _take_series(self, series: str, theirs: list[dict[str, Any]]) -> None:
        """All pieces of a series that are not here, or none of them where one is not as it should be."""
        rows = self.target.execute(sa.select(schema.block).where(BLOCK.series == series)).mappings()
        here = {_unit(row): row for row in map(dict, rows)}
        faults = [fault for row in theirs if (fault := _fault(row, here.get(_unit(row))))]
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            self.findings.append(Finding("block", f"series {series[:12]}…: {faults[0]}{more}; nothing of it is taken"))
            self.refused.add(series)
            self.counts["piece", "refused"] += len(theirs)
            return
        new = [row for row in theirs if _unit(row) not in here]
        put(self.target, schema.block, new, replace=False)
        self.counts["piece", "taken"] += len(new)
        self.counts["piece", "present"] += len(theirs) - len(new)

    # -------------------------------------------------------------------------------------------------------- runs

    def runs(self, ours: list[Run], theirs: list[Run], source: str) -> None:
        """Runs and all that belongs to them."""
        refused = self._refused_runs(theirs)
        same = {(run.kind, run.identity): run for run in ours}
        used = {run.id for run in ours}
        ids: dict[str, str] = {}
        """Their ids of runs to the ids that these have here."""
        taken: dict[str, Run | None] = {}
        """Ids there of those that come in, and the unfinished runs whose place they take."""
        for run in theirs:
            mine = same.get((run.kind, run.identity))
            if run.id in refused:
                outcome = "refused"
            elif mine is None or (run.state == "complete" != mine.state and not mine.alive):
                outcome = "taken"
                taken[run.id] = mine
                ids[run.id] = mine.id if mine else new_id() if run.id in used else run.id
            else:
                outcome = "present"
                ids[run.id] = mine.id
                if mine.state != "complete" and not run.exact:  # its draws are in the same series
                    self.target.execute(sa.update(schema.run).where(RUN.id == mine.id).values(exact=False))
            self.counts[f"{run.kind} run", outcome] += 1
        by_id = {run.id: run for run in theirs}
        for old in TopologicalSorter({run.id: [run.parent or ""] for run in theirs}).static_order():
            if old in taken:
                self._write(by_id[old], ids, taken[old])
        self._copy_rows(taken, ids)
        self._annotate([run for run in theirs if run.id in ids], ids)
        for old in taken:
            message = f"from store {source}, where it is run {old}"
            values = {"run": ids[old], "at": now(), "code": "imported", "message": message}
            self.target.execute(sa.insert(schema.event).values(values))

    def _refused_runs(self, theirs: list[Run]) -> set[str]:
        """Runs that reduce a refused series, and all that came of them, however far down."""
        why = {run.id: "its draws are refused" for run in theirs if run.series in self.refused}
        origins = self._origins(theirs) if why else {}
        while more := {
            run: sorted(of & why.keys()) for run, of in origins.items() if run not in why and of & why.keys()
        }:
            why |= {run: f"it came of run {of[0]}, which is refused" for run, of in more.items()}
        for run in theirs:
            if run.id in why:
                self.findings.append(
                    Finding("run", f"{run.kind} run {run.id} ({run.method}) is left out: {why[run.id]}")
                )
        return set(why)

    def _origins(self, theirs: list[Run]) -> dict[str, set[str]]:
        """By run, the runs that it was made from: its parent, those that its request names, the one that made its
        model, and those whose scores drew its order or that it was held against."""
        # A run that changed nothing made no model: what else started there did not come of it.
        makers = {made: run.id for run in theirs if (made := run.summary.get("model")) and made != run.model}
        origins: dict[str, set[str]] = {}
        for run in theirs:
            request = [value for value in run.config.get("request", {}).values() if isinstance(value, str)]
            named = {value.removeprefix("run:") for value in request if value.startswith("run:")}
            origins[run.id] = named | {run.parent or "", makers.get(run.model, "")}
        for table, column in REFERENCES.items():
            for row in self.theirs.rows(sa.select(table.c.run, table.c[column]).distinct()):
                origins[row["run"]].add(row[column] or "")
        return origins

    def _write(self, run: Run, ids: Mapping[str, str], mine: Run | None) -> None:
        """A run's row; it has no worker here. Of the unfinished run `mine` that it replaces, what happened stays."""
        row = {c.name: getattr(run, c.name) for c in schema.run.columns if hasattr(run, c.name)}
        row |= {"id": ids[run.id], "parent": ids.get(run.parent or ""), "config": _readdressed(run.config, ids)}
        row["note"] = mine.note if mine else None
        if mine is None:
            self.target.execute(sa.insert(schema.run).values(row))
            return
        marks = schema.checkpoint.c
        self.files += self.target.scalars(sa.select(marks.file).where(marks.run == mine.id))
        for table in (*OF_RUNS, schema.checkpoint):
            if table is not schema.event:
                self.target.execute(sa.delete(table).where(table.c.run == mine.id))
        self.target.execute(sa.update(schema.run).where(RUN.id == mine.id).values(row))

    def _annotate(self, theirs: list[Run], ids: Mapping[str, str]) -> None:
        """What people said of runs, of those too that are here already: tags add up, a note comes where there is
        none."""
        put(self.target, schema.run_tag, [{"run": ids[r.id], "tag": t} for r in theirs for t in r.tags], replace=False)
        for run in theirs:
            if run.note is not None:
                bare = (RUN.id == ids[run.id]) & RUN.note.is_(None)
                self.target.execute(sa.update(schema.run).where(bare).values(note=run.note))

    def _copy_rows(self, taken: Mapping[str, Any], ids: Mapping[str, str]) -> None:
        for table in OF_RUNS:
            naming = REFERENCES.get(table)
            columns = [column for column in table.columns if column is not schema.event.c.id]  # a number of its own
            for some in chunks(taken):
                for rows in self.theirs.parts(sa.select(*columns).where(table.c.run.in_(some))):
                    for row in rows:
                        row["run"] = ids[row["run"]]
                        if naming is not None:
                            row[naming] = ids.get(row[naming], row[naming])
                    self.target.execute(sa.insert(table), rows)


def _unit(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["draw"], row["sign"], row["shard"]


def _fault(theirs: Mapping[str, Any], ours: Mapping[str, Any] | None) -> str | None:
    """Why a piece cannot be taken for the same as the one here."""
    what = f"the values of draw {theirs['draw']}, sign {theirs['sign']}, shard {theirs['shard']}"
    if not whole(theirs):
        return f"{what} were altered there"
    if ours is None:
        return None
    if not whole(ours):
        return f"{what} were altered here"
    return None if all(theirs[c] == ours[c] for c in ("n", "c", "data")) else f"{what} differ from those here"


def _readdressed(config: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """A run's configuration and the request in it, in which other runs are named by the ids that they have here."""
    names = {**ids, **{f"run:{old}": f"run:{new}" for old, new in ids.items()}}

    def readdressed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: names.get(value, value) if isinstance(value, str) else value for key, value in values.items()}

    found = readdressed(config)
    return {**found, "request": readdressed(found["request"])} if "request" in found else found
