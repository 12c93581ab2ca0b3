"""What runs are about: models, data sets, and what a model says of a sample before it is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import sqlalchemy as sa

from unlearnkit.store import schema
from unlearnkit.store.base import Base, chunks, fields, put, record
from unlearnkit.store.records import Anchor, Dataset, Model, Row


class Catalogue(Base):
    def put_model(self, model: Model) -> None:
        """Record a model. The first label under a fingerprint stays."""
        with self._write() as connection:
            put(connection, schema.model, [fields(model)], replace=False)

    def model(self, fingerprint: str) -> Model | None:
        with self._read() as connection:
            found = connection.execute(
                sa.select(schema.model).where(schema.model.c.fingerprint == fingerprint)
            ).one_or_none()
        return record(Model, found._mapping) if found else None

    def models(self) -> dict[str, Model]:
        """All of them by fingerprint."""
        with self._read() as connection:
            rows = connection.execute(sa.select(schema.model)).mappings()
            return {row["fingerprint"]: record(Model, row) for row in rows}

    def put_dataset(self, dataset: Dataset, rows: Sequence[Row]) -> None:
        """Record a data set and its rows. Put again, its rows are as given now, but a text that was stored stays."""
        table = schema.dataset_row
        with self._write() as connection:
            put(connection, schema.dataset, [fields(dataset)], replace=False)
            old = self._rows(connection, dataset.fingerprint)
            texts = {(row.position, row.sample): row for row in old}
            new = sorted((_with_text(row, texts) for row in rows), key=lambda row: row.position)
            if new != old:
                connection.execute(sa.delete(table).where(table.c.dataset == dataset.fingerprint))
                put(connection, table, [fields(row, dataset=dataset.fingerprint) for row in new])

    def dataset(self, fingerprint: str) -> Dataset | None:
        with self._read() as connection:
            found = connection.execute(
                sa.select(schema.dataset).where(schema.dataset.c.fingerprint == fingerprint)
            ).one_or_none()
        return record(Dataset, found._mapping) if found else None

    def datasets(self) -> dict[str, Dataset]:
        """All of them by fingerprint."""
        with self._read() as connection:
            rows = connection.execute(sa.select(schema.dataset)).mappings()
            return {row["fingerprint"]: record(Dataset, row) for row in rows}

    def rows(self, fingerprint: str) -> list[Row]:
        """A data set's rows by position."""
        with self._read() as connection:
            return self._rows(connection, fingerprint)

    def put_anchors(self, model: str, template: str, anchors: Sequence[Anchor]) -> None:
        with self._write() as connection:
            put(connection, schema.anchor, [fields(a, model=model, template=template) for a in anchors], replace=False)

    def anchors(self, model: str, template: str, samples: Collection[str]) -> dict[str, Anchor]:
        """Those of the samples that have one, by sample."""
        table = schema.anchor
        query = sa.select(table).where(table.c.model == model, table.c.template == template)
        found: dict[str, Anchor] = {}
        with self._read() as connection:
            for some in chunks(samples):
                for row in connection.execute(query.where(table.c.sample.in_(some))).mappings():
                    found[row["sample"]] = record(Anchor, row)
        return found

    @staticmethod
    def _rows(connection: sa.Connection, fingerprint: str) -> list[Row]:
        table = schema.dataset_row
        query = sa.select(table).where(table.c.dataset == fingerprint).order_by(table.c.position)
        return [record(Row, row) for row in connection.execute(query).mappings()]


def _with_text(row: Row, texts: dict[tuple[int, str | None], Row]) -> Row:
    old = texts.get((row.position, row.sample))
    if old is None or row.prompt is not None or row.answer is not None:
        return row
    return replace(row, prompt=old.prompt, answer=old.answer)
