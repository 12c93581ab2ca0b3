"""What training leaves behind: steps, NLLs on the way, the order of each epoch, and checkpoints to go on from."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import schema
from unlearnkit.store.base import Base, chunks, fields, put, record
from unlearnkit.store.records import Checkpoint, OrderRow, ProbeRow, StepRow

STEP, CHECKPOINT = schema.step.c, schema.checkpoint.c


class Training(Base):
    def put_steps(self, run_id: str, steps: Sequence[StepRow]) -> list[int]:
        """Store steps. One that is there already stays; returns the numbers of those whose terms differ from what is
        there, which means that the run was not repeated bit for bit."""
        with self._write() as connection:
            return _put_steps(connection, run_id, steps)

    def steps(self, run_id: str) -> list[StepRow]:
        """A run's steps in order."""
        query = sa.select(schema.step).where(STEP.run == run_id).order_by(STEP.step)
        with self._read() as connection:
            return [record(StepRow, row) for row in connection.execute(query).mappings()]

    def put_probes(self, run_id: str, probes: Sequence[ProbeRow]) -> None:
        """Store NLLs. What is there already stays: a repeated step finds the same."""
        with self._write() as connection:
            _put_probes(connection, run_id, probes)

    def probes(self, run_id: str) -> list[ProbeRow]:
        """A run's NLLs, in the order of updates."""
        query = sa.select(schema.probe).where(schema.probe.c.run == run_id).order_by(schema.probe.c.updates)
        with self._read() as connection:
            rows = connection.execute(query).mappings().all()
        return [ProbeRow(row["updates"], row["sample"], row["nll"], bool(row["swept"])) for row in rows]

    def probed(self, run_id: str) -> bool:
        """Whether a run has NLLs on the way."""
        with self._read() as connection:
            return connection.scalar(sa.select(sa.exists().where(schema.probe.c.run == run_id))) or False

    def put_order(self, run_id: str, order: OrderRow) -> None:
        with self._write() as connection:
            put(connection, schema.draw_order, [fields(order, run=run_id)])

    def order(self, run_id: str, epoch: int) -> OrderRow | None:
        table = schema.draw_order
        query = sa.select(table).where(table.c.run == run_id, table.c.epoch == epoch)
        with self._read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return record(OrderRow, row) if row else None

    def orders(self, run_id: str) -> list[OrderRow]:
        """A run's orders, by epoch."""
        table = schema.draw_order
        query = sa.select(table).where(table.c.run == run_id).order_by(table.c.epoch)
        with self._read() as connection:
            return [record(OrderRow, row) for row in connection.execute(query).mappings()]

    def put_checkpoint(
        self,
        run_id: str,
        checkpoint: Checkpoint,
        steps: Sequence[StepRow] = (),
        probes: Sequence[ProbeRow] = (),
        keep: int = 2,
        spare: Collection[int] = (),
    ) -> list[int]:
        """Record a checkpoint whose file is saved, and the steps and NLLs up to it, in one transaction; then drop all
        but the newest `keep` and those of the steps to `spare`. Returns what `put_steps` does.

        :raises UnlearnkitError: code "checkpoint" where the file is not there.
        """
        with self._write() as connection:
            if not self.files.has(checkpoint.file):
                raise UnlearnkitError(f"checkpoint file {checkpoint.file[:12]}… is not there", code="checkpoint")
            put(connection, schema.checkpoint, [fields(checkpoint, run=run_id)])
            different = _put_steps(connection, run_id, steps)
            _put_probes(connection, run_id, probes)
        self._forget(run_id, keep, spare)
        self._collect()
        return different

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """A run's checkpoints, newest first."""
        query = sa.select(schema.checkpoint).where(CHECKPOINT.run == run_id).order_by(CHECKPOINT.step.desc())
        with self._read() as connection:
            return [record(Checkpoint, row) for row in connection.execute(query).mappings()]

    def _forget(self, run_id: str, keep: int, spare: Collection[int] = ()) -> None:
        mine = sa.select(CHECKPOINT.step, CHECKPOINT.file).where(CHECKPOINT.run == run_id)
        with self._write() as connection:
            newest_first = connection.execute(mine.order_by(CHECKPOINT.step.desc())).all()
            old = [row for row in newest_first[keep:] if row.step not in spare]
            for some in chunks([row.step for row in old]):
                connection.execute(
                    sa.delete(schema.checkpoint).where(CHECKPOINT.run == run_id, CHECKPOINT.step.in_(some))
                )
        self._drop_files(row.file for row in old)


def _put_probes(connection: sa.Connection, run_id: str, probes: Sequence[ProbeRow]) -> None:
    put(connection, schema.probe, [fields(probe, run=run_id) for probe in probes], replace=False)


def _put_steps(connection: sa.Connection, run_id: str, steps: Sequence[StepRow]) -> list[int]:
    given = {step.step: {name: float(value) for name, value in step.terms.items()} for step in steps}
    put(
        connection,
        schema.step,
        [{"run": run_id, "step": step, "terms": terms} for step, terms in given.items()],
        replace=False,
    )
    different: list[int] = []
    for some in chunks(given):
        stored = connection.execute(sa.select(STEP.step, STEP.terms).where(STEP.run == run_id, STEP.step.in_(some)))
        different += [step for step, terms in stored if terms != given[step]]
    return sorted(different)
