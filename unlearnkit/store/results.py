"""What evaluating leaves behind: a value per sample and metric, generated texts, and the numbers over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

import sqlalchemy as sa

from unlearnkit.store import connect, schema
from unlearnkit.store.base import Base, chunks, fields, put, record
from unlearnkit.store.records import AggregateRow, FigureRow, Generation, Result

T = TypeVar("T")


class Results(Base):
    def put_results(self, run_id: str, results: Sequence[Result], generations: Sequence[Generation] = ()) -> None:
        """Store values, and the texts that they were read from, in one transaction. Figures of other values go."""
        figure = schema.figure
        with self._write() as connection:
            connection.execute(sa.delete(figure).where(figure.c.run == run_id))
            put(connection, schema.result, [fields(result, run=run_id) for result in results])
            put(connection, schema.generation, [fields(text, run=run_id) for text in generations])

    def results(self, run_id: str) -> list[Result]:
        """A run's values, by split, metric and sample."""
        return self._of(Result, schema.result, run_id)

    def values(self, run_id: str, split: str | None = None) -> dict[tuple[str, str], dict[str, float | None]]:
        """The numbers alone, by split and metric, then by sample, in order: quick where there are many."""
        table = schema.result.c
        query = sa.select(table.split, table.metric, table.sample, table.value).where(table.run == run_id)
        if split is not None:
            query = query.where(table.split == split)
        with self._read() as connection:
            rows = connection.execute(query.order_by(*schema.result.primary_key)).all()
        return {key: {row[2]: row[3] for row in of} for key, of in groupby(rows, key=lambda row: (row[0], row[1]))}

    def generations(self, run_id: str) -> list[Generation]:
        """A run's texts, by split and sample."""
        return self._of(Generation, schema.generation, run_id)

    def put_readings(self, run_id: str, split: str, keys: Mapping[str, str]) -> None:
        """Say what determines values of a run's split, by metric, so that other runs may take them from it."""
        rows = [{"run": run_id, "split": split, "metric": metric, "key": key} for metric, key in keys.items()]
        with self._write() as connection:
            put(connection, schema.reading, rows)

    def known_results(self, key: str) -> list[Result]:
        """Values of all runs that a key and the sample determine; of several for one sample the oldest run's."""
        table, reading = schema.result.c, schema.reading.c
        query = sa.select(schema.result).join(
            schema.reading,
            sa.and_(reading.run == table.run, reading.split == table.split, reading.metric == table.metric),
        )
        query = query.where(reading.key == key).order_by(table.run.desc())
        with self._read() as connection:
            found = {row["sample"]: record(Result, row) for row in connection.execute(query).mappings()}
        return list(found.values())

    def known_generations(self, key: str) -> dict[str, str]:
        """Texts by sample that are determined by a key and the sample; of several the oldest run's."""
        table, reading = schema.generation.c, schema.reading.c
        query = sa.select(table.sample, table.text).join(
            schema.reading, sa.and_(reading.run == table.run, reading.split == table.split)
        )
        query = query.where(reading.key == key).order_by(table.run.desc())
        with self._read() as connection:
            return {row.sample: row.text for row in connection.execute(query)}

    def shared_generations(self, series: str, split: str) -> dict[str, str]:
        """Texts by sample of all runs of a series; of several for one sample the newest run's."""
        table, run = schema.generation.c, schema.run.c
        query = sa.select(table.sample, table.text).join(schema.run, run.id == table.run)
        query = query.where(run.series == series, table.split == split).order_by(run.created, run.id)
        with self._read() as connection:
            return {row.sample: row.text for row in connection.execute(query)}

    def put_aggregates(self, run_id: str, aggregates: Sequence[AggregateRow]) -> None:
        rows = [fields(aggregate, run=run_id) for aggregate in aggregates]
        with self._write() as connection:
            put(connection, schema.aggregate, [{**row, "reference": row["reference"] or ""} for row in rows])

    def aggregates(self, run_id: str, reference: str | None = None) -> list[AggregateRow]:
        """A run's numbers by name; with `reference`, of those that need one only those held against it."""
        table = schema.aggregate.c
        query = sa.select(schema.aggregate).where(table.run == run_id)
        if reference is not None:
            query = query.where(table.reference.in_(["", reference]))
        with self._read() as connection:
            rows = connection.execute(query.order_by(table.name, table.reference)).mappings().all()
        return [record(AggregateRow, {**row, "reference": row["reference"] or None}) for row in rows]

    def every_aggregate(self) -> dict[str, list[AggregateRow]]:
        """The numbers of all runs, as `aggregates` has them, by run."""
        table = schema.aggregate
        found: dict[str, list[AggregateRow]] = {}
        with self._read() as connection:
            for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings():
                number = record(AggregateRow, {**row, "reference": row["reference"] or None})
                found.setdefault(row["run"], []).append(number)
        return found

    def put_figures(self, run_id: str, figures: Sequence[FigureRow]) -> None:
        """Keep figures of a complete run, as long as it and the scores that they go by are there: who made them only
        read, and held neither.

        :raises UnlearnkitError: code "busy" where others write; it does not wait for long.
        """
        run = schema.run.c.id
        needed = {run_id} | {figure.scores for figure in figures if figure.scores}
        with self._write(connect.BRIEF) as connection:
            there = connection.scalars(sa.select(run).where(run.in_(needed)).with_for_update())
            if needed == set(there):
                put(connection, schema.figure, [fields(figure, run=run_id) for figure in figures])

    def figures(self, runs: Iterable[str] | None = None) -> dict[str, list[FigureRow]]:
        """The figures that are kept of some runs, or of all, by run."""
        table = schema.figure
        query = sa.select(table.c.run, *(table.c[name] for name in FigureRow.__dataclass_fields__))
        found: dict[str, list[FigureRow]] = {}
        with self._read() as connection:
            for some in (None,) if runs is None else chunks(dict.fromkeys(runs)):
                for run, *values in connection.execute(query if some is None else query.where(table.c.run.in_(some))):
                    found.setdefault(run, []).append(FigureRow(*values))
        return found

    def _of(self, kind: type[T], table: sa.Table, run_id: str) -> list[T]:
        names = (field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        query = sa.select(*(table.c[name] for name in names)).where(table.c.run == run_id)
        with self._read() as connection:  # all at once: half of the time that one after the other takes
            return [kind(*row) for row in connection.execute(query.order_by(*table.primary_key)).all()]
