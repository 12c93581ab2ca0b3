"""Runs: who made them, what they are about, how they stand.

A run's identity is a hash of all that determines its result, and unique: the same command finds the run that it made
before. Whether anybody works on it is never written by the one who might be killed, but found out when it is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import count
from typing import Any

import sqlalchemy as sa

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.store import connect, schema
from unlearnkit.store.base import Base, at_work, chunks, put, record, upsert
from unlearnkit.store.process import Process, now
from unlearnkit.store.records import Event, Run, State

RUN = schema.run.c
PREFIX = 4
"""Shortest prefix of an id that is taken for one."""
NAMED = 5
"""Runs that are named where a prefix is that of several."""

DERIVED = ("datasets", "tags", "alive")
"""Fields of a run that are no column of its row."""


class Runs(Base):
    def begin(self, run: Run) -> tuple[Run, bool]:
        """Record a run unless one of its kind and identity is there; returns the stored one, and whether it is new. One
        that is complete was asked for now all the same, which its beat says.

        Its data sets and parent must be in the store before it, else ValueError."""
        time = run.created or now()
        row = {c.name: getattr(run, c.name) for c in schema.run.columns if hasattr(run, c.name)}
        row |= {"created": time, "beat": run.beat or time}
        with self._write() as connection:
            insert = upsert(connection, schema.run).values(row)
            made = connection.execute(insert.on_conflict_do_nothing(index_elements=["kind", "identity"]))
            new = made.rowcount == 1
            if new:
                roles = [{"run": run.id, "role": r, "dataset": d} for r, d in run.datasets.items()]
                put(connection, schema.run_dataset, roles)
            same = (RUN.kind == run.kind) & (RUN.identity == run.identity)
            if not new:
                asked = sa.update(schema.run).where(same & (RUN.state == "complete"))
                connection.execute(asked.values(beat=now()))
            return self._one(connection, sa.select(schema.run).where(same)), new

    def find(self, kind: str, identity: str) -> Run | None:
        """The run of that kind and identity, where there is one."""
        query = sa.select(schema.run).where((RUN.kind == kind) & (RUN.identity == identity))
        with self._read() as connection:
            return next(iter(self._runs(connection, query)), None)

    def claim(self, run_id: str) -> Run:
        """Take a run for this process: it is running from now on, and others see by whom.

        :raises UnlearnkitError: code "busy" while another live process works on it.
        """
        me = Process.this()
        with self._write() as connection:
            row = self._row(connection, run_id)
            worker = Process.of(row)
            if worker and worker != me and row["state"] == "running" and worker.alive(row["beat"]):
                raise UnlearnkitError(
                    f"process {worker.pid} on {worker.host} works on run {run_id}",
                    hint="wait for it, or end it: what it did is kept",
                    code="busy",
                )
            self._update(
                connection,
                run_id,
                state="running",
                beat=now(),
                finished=None,
                error_code=None,
                error=None,
                **vars(me),
            )
            return self._by_id(connection, run_id)

    def settle(self, run_id: str, series: str, config: Mapping[str, Any]) -> Run:
        """Write down what a run found out before its work began: the draws that it reduces, and its configuration with
        what was chosen."""
        with self._write() as connection:
            self._update(connection, run_id, series=series, config=dict(config))
            return self._by_id(connection, run_id)

    def beat(self, run_id: str) -> None:
        """Show that the run is being worked on; needed only where another host may look."""
        with self._write() as connection:
            self._update(connection, run_id, beat=now())

    def mark_inexact(self, run_id: str) -> Run:
        """Write down that a run's bits may differ from those of an undisturbed one: there is no way back."""
        with self._write() as connection:
            self._update(connection, run_id, exact=False)
            return self._by_id(connection, run_id)

    def finish(
        self,
        run_id: str,
        state: State,
        *,
        summary: Mapping[str, Any] | None = None,
        error_code: str | None = None,
        error: str | None = None,
    ) -> Run:
        """Write down how a run ended. `summary` stays as it is where None. A complete run needs no checkpoint any more:
        they go in the same transaction."""
        time = now()
        changes: dict[str, Any] = {"state": state, "beat": time, "finished": time}
        changes |= {"error_code": error_code, "error": error}
        if summary is not None:
            changes["summary"] = dict(summary)
        held, files = schema.checkpoint.c, []
        with self._write() as connection:
            self._update(connection, run_id, **changes)
            if state == "complete":
                files = list(connection.scalars(sa.select(held.file).where(held.run == run_id)))
                connection.execute(sa.delete(schema.checkpoint).where(held.run == run_id))
            run = self._by_id(connection, run_id)
        self._drop_files(files)
        return run

    def run(self, ref: str, kinds: Collection[str] | None = None) -> Run:
        """The run of an id, a unique prefix of one (4 characters or more, in any case), or "@last": the one that was
        worked on or asked for last.

        :raises NotFound: code "run", where there is none, or could be none as `ref` is too short.
        :raises BadInput: where several runs begin so, naming the newest.
        """
        query = sa.select(schema.run).order_by(RUN.created.desc(), RUN.id.desc())
        if kinds is not None:
            query = query.where(RUN.kind.in_(kinds))
        if ref == "@last":  # scores that another run asked for are not what was done last
            query = query.where((RUN.kind != "score") | RUN.parent.is_(None)).order_by(None)
            query = query.order_by(RUN.beat.desc(), RUN.created.desc(), RUN.id.desc())
        else:
            if len(ref) < PREFIX:
                raise NotFound(f'"{ref}" is too short for a run', hint=f"give {PREFIX} characters or more", code="run")
            query = query.where(RUN.id.startswith(ref.upper(), autoescape=True))
        with self._read() as connection:
            found = self._runs(connection, query.limit(1 if ref == "@last" else NAMED))
            alike = connection.scalars(query.with_only_columns(RUN.id)).all() if len(found) > 1 else []
        if not found:
            what = "no run yet" if ref == "@last" else f'no run "{ref}"'
            of = f" of kind {' or '.join(sorted(kinds))}" if kinds is not None else ""
            raise NotFound(what + of, hint="unlearnkit runs list", code="run")
        if len(found) > 1:
            enough = next(n for n in count(len(ref)) if len({run_id[:n] for run_id in alike}) == len(alike))
            listed = [f"{run.id[:enough]} ({run.kind}, {run.created[5:16].replace('T', ' ')})" for run in found]
            more = f" and {len(alike) - len(found)} more" if len(alike) > len(found) else ""
            hint = f"give more of the id: {', '.join(listed)}{more}"
            raise BadInput(f'"{ref}" could be any of {len(alike)} runs', hint=hint, code="run")
        return found[0]

    def runs(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        model: str | None = None,
        method: str | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Runs that are as asked for, newest first."""
        query = sa.select(schema.run).order_by(RUN.created.desc(), RUN.id.desc()).limit(limit)
        wanted = {RUN.kind: kind, RUN.state: state, RUN.model: model, RUN.method: method}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        with self._read() as connection:
            return self._runs(connection, query)

    def remove_run(self, run_id: str) -> None:
        """Remove a run with its numbers, texts and checkpoints, and the data sets and model that no other run is about.

        Its text is then in neither the database nor its log; copies that an upgrade made are not touched. Runs made
        on its behalf stay.

        :raises UnlearnkitError: code "busy" while a process works on it, or while another process still reads what
            was there before, so that the log cannot be cut off yet.
        """
        with self._write() as connection:
            run = self._by_id(connection, run_id)
            if run.alive:
                raise UnlearnkitError(f"run {run_id} is being worked on", hint="end its process first", code="busy")
            files = connection.scalars(
                sa.select(schema.checkpoint.c.file).where(schema.checkpoint.c.run == run_id)
            ).all()
            connection.execute(sa.delete(schema.run).where(RUN.id == run_id))
            connection.execute(sa.delete(schema.figure).where(schema.figure.c.scores == run_id))
            self._remove_datasets(connection, set(run.datasets.values()))
            _remove_unused(connection, RUN.series, schema.block.c.series, run.series)
            _remove_unused(connection, RUN.model, schema.model.c.fingerprint, run.model)
            _remove_unused(connection, RUN.model, schema.anchor.c.model, run.model)
        self._drop_files(files)
        self._scrub()

    def event(self, run_id: str | None, code: str, message: str) -> None:
        """Append to the record of what happened, to a run or to the store itself (None)."""
        with self._write() as connection:
            connection.execute(sa.insert(schema.event).values(run=run_id, at=now(), code=code, message=message))

    def events(self, run_id: str | None) -> list[Event]:
        """What happened, in order."""
        table = schema.event
        query = sa.select(table).where(table.c.run.is_not_distinct_from(run_id)).order_by(table.c.id)
        with self._read() as connection:
            return [record(Event, row) for row in connection.execute(query).mappings()]

    # ------------------------------------------------------------------------------------------------------ inside

    def _row(self, connection: sa.Connection, run_id: str) -> sa.RowMapping:
        """A run's row, locked where the database locks rows."""
        query = sa.select(schema.run).where(RUN.id == run_id).with_for_update()
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f'no run "{run_id}"', hint="unlearnkit runs list", code="run")
        return row

    def _update(self, connection: sa.Connection, run_id: str, **changes: Any) -> None:
        self._row(connection, run_id)
        connection.execute(sa.update(schema.run).where(RUN.id == run_id).values(changes))

    def _by_id(self, connection: sa.Connection, run_id: str) -> Run:
        self._row(connection, run_id)
        return self._one(connection, sa.select(schema.run).where(RUN.id == run_id))

    def _one(self, connection: sa.Connection, query: sa.Select[Any]) -> Run:
        (run,) = self._runs(connection, query)
        return run

    def _runs(self, connection: sa.Connection, query: sa.Select[Any]) -> list[Run]:
        rows = connection.execute(query).mappings().all()
        datasets: dict[str, dict[str, str]] = {row["id"]: {} for row in rows}
        tags: dict[str, list[str]] = {row["id"]: [] for row in rows}
        held, tagged = schema.run_dataset.c, schema.run_tag.c
        for some in chunks(datasets):
            for run, role, dataset in connection.execute(
                sa.select(held.run, held.role, held.dataset).where(held.run.in_(some)).order_by(held.run, held.role)
            ):
                datasets[run][role] = dataset
            for run, tag in connection.execute(
                sa.select(tagged.run, tagged.tag).where(tagged.run.in_(some)).order_by(tagged.run, tagged.tag)
            ):
                tags[run].append(tag)
        return [_run(row, datasets[row["id"]], tags[row["id"]]) for row in rows]

    @staticmethod
    def _remove_datasets(connection: sa.Connection, candidates: Iterable[str]) -> None:
        """Those that no run is about, with the anchors of samples that are in no other data set."""
        rows, anchors = schema.dataset_row.c, schema.anchor.c
        for fingerprint in candidates:
            used = sa.select(schema.run_dataset.c.run).where(schema.run_dataset.c.dataset == fingerprint)
            if connection.execute(used.limit(1)).first():
                continue
            mine = sa.select(rows.sample).where(rows.dataset == fingerprint, rows.sample.is_not(None))
            others = sa.select(rows.sample).where(rows.dataset != fingerprint, rows.sample.is_not(None))
            connection.execute(sa.delete(schema.anchor).where(anchors.sample.in_(mine), anchors.sample.not_in(others)))
            connection.execute(sa.delete(schema.dataset).where(schema.dataset.c.fingerprint == fingerprint))

    def _scrub(self) -> None:
        """Leave nothing of what was removed in free pages or in the log."""
        if self.path is None:
            return
        with connect.plainly(self._place), self._engine.connect() as connection:
            sqlite = connect.raw(connection)
            connect.patiently(lambda: sqlite.execute("VACUUM"))
            (busy, *_) = sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise UnlearnkitError(
                "the run is removed, but another process still reads the store, and its log holds what was there",
                hint="end that process; the log goes when the last one closes the store",
                code="busy",
            )


def _remove_unused(connection: sa.Connection, used: sa.Column[Any], held: sa.Column[Any], value: str | None) -> None:
    """Remove what runs share under a value, once no run is left that names it."""
    if not connection.scalar(sa.select(sa.exists().where(used == value))):
        connection.execute(sa.delete(held.table).where(held == value))


def _run(row: sa.RowMapping, datasets: Mapping[str, str], tags: Iterable[str]) -> Run:
    values: dict[str, Any] = {f: row[f] for f in Run.__dataclass_fields__ if f not in DERIVED}
    values |= {"argv": tuple(row["argv"]), "exact": bool(row["exact"])}
    return Run(**values, datasets=datasets, tags=tuple(tags), alive=at_work(row))
