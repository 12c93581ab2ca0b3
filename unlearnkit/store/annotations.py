"""What people say of runs: tags to find them by, and a note. Neither is part of what a run is, nor of any key."""

from __future__ import annotations

import re
from collections.abc import Collection

import sqlalchemy as sa

from unlearnkit.errors import BadInput
from unlearnkit.store import schema
from unlearnkit.store.base import put
from unlearnkit.store.records import Run
from unlearnkit.store.runs import Runs

TAG = re.compile(r"[\w.:/+@-]{1,64}")
LONGEST_NOTE = 10_000
"""Characters."""


class Annotations(Runs):
    def tag(self, run_id: str, tags: Collection[str]) -> Run:
        """Add tags to a run; those that it has stay.

        :raises BadInput: code "tag" for one that is no word of up to 64 letters, digits and `. : / + @ - _`.
        :raises NotFound: code "run".
        """
        for tag in tags:
            if not TAG.fullmatch(tag):
                raise BadInput(
                    f'"{tag[:80]}" is no tag',
                    hint="up to 64 letters, digits and . : / + @ - _, without blanks",
                    code="tag",
                )
        with self._write() as connection:
            self._row(connection, run_id)
            put(connection, schema.run_tag, [{"run": run_id, "tag": tag} for tag in tags], replace=False)
            return self._by_id(connection, run_id)

    def untag(self, run_id: str, tags: Collection[str]) -> Run:
        """Take tags from a run; one that it has not is no error.

        :raises NotFound: code "run".
        """
        table = schema.run_tag.c
        with self._write() as connection:
            self._row(connection, run_id)
            connection.execute(sa.delete(schema.run_tag).where(table.run == run_id, table.tag.in_(tags)))
            return self._by_id(connection, run_id)

    def note(self, run_id: str, text: str) -> Run:
        """Write a note on a run in place of the one that is there; an empty text takes it away.

        :raises BadInput: code "note" for one of more than 10,000 characters, or with a NUL in it.
        :raises NotFound: code "run".
        """
        if len(text) > LONGEST_NOTE or "\0" in text:
            raise BadInput(f"a note has up to {LONGEST_NOTE:,} characters, and no NUL", code="note")
        with self._write() as connection:
            self._update(connection, run_id, note=text.strip() or None)
            return self._by_id(connection, run_id)
