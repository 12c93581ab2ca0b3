"""Tags and notes: what is put on a run is found on it, and is no part of what the run is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unlearnkit.errors import BadInput, NotFound
from unlearnkit.store import Store

from .making import a_run


def test_tags_and_a_note_come_and_go(store: Store):
    run = a_run(store)
    assert (run.tags, run.note) == ((), None)
    assert store.tag(run.id, ["table-2", "paper"]).tags == ("paper", "table-2")
    assert store.tag(run.id, ["paper", "ü/v1.0"]).tags == ("paper", "table-2", "ü/v1.0")
    assert store.note(run.id, " the one\nin figure 3 ").note == "the one\nin figure 3"
    assert store.untag(run.id, ["table-2", "never"]).tags == ("paper", "ü/v1.0")
    found = store.run(run.id)
    assert replace(found, tags=(), note=None) == run, "nothing else of it changes"
    assert (found.tags, found.note) == (("paper", "ü/v1.0"), "the one\nin figure 3")
    assert store.note(run.id, "").note is None


def test_a_tag_is_of_one_run(store: Store):
    one, other = a_run(store, "1"), a_run(store, "2")
    store.tag(one.id, ["a"])
    store.tag(other.id, ["b"])
    assert {run.id: run.tags for run in store.runs()} == {one.id: ("a",), other.id: ("b",)}


@pytest.mark.parametrize("tag", ["", " ", "a b", "a,b", "x" * 65, "\x1b[31m", "a\n", "\u202ea", "'; DROP TABLE run --"])
def test_what_is_no_tag_is_refused(store: Store, tag: str):
    run = a_run(store)
    with pytest.raises(BadInput) as caught:
        store.tag(run.id, ["fine", tag])
    assert caught.value.code == "tag"
    assert store.run(run.id).tags == ()


def test_a_note_may_be_any_text_of_a_sane_length(store: Store):
    run = a_run(store)
    hostile = "'; DROP TABLE run -- \x1b[31m \u202e %s {0}"
    assert store.note(run.id, hostile).note == hostile
    for text in ("x" * 10_001, "a\0b"):
        with pytest.raises(BadInput):
            store.note(run.id, text)
    assert store.run(run.id).note == hostile


def test_a_run_that_is_not_there_takes_neither(store: Store):
    for change in (
        lambda: store.tag("01NONE", ["a"]),
        lambda: store.untag("01NONE", ["a"]),
        lambda: store.note("01NONE", "x"),
    ):
        with pytest.raises(NotFound):
            change()
