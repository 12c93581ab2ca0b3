"""Which scores are gone by where the store has several of a scorer."""

from __future__ import annotations

from unlearnkit.report.analysis import origin
from unlearnkit.runs.scored import choose_scored

from .lab import IDS, OTHER, Lab

VALUES = [float(i) for i in range(12)]


def reliable(lab: Lab, reliability: float | None, **more: object) -> str:
    return lab.scores(VALUES, summary={"reliability": reliability}, **more)


def test_the_most_reliable_is_taken_and_that_is_said(lab: Lab):
    reliable(lab, 0.7)
    best = reliable(lab, 0.96)
    reliable(lab, 0.8)
    reliable(lab, None)  # a single draw
    found = choose_scored(lab.place)
    assert (found.run.id, found.reliability, found.among) == (best, 0.96, 4)
    assert origin(found) == f"run {best}, the most reliable (0.96) of 4"


def test_of_equals_the_newest_is_taken(lab: Lab):
    for reliability in (0.9, None):
        reliable(lab, reliability)
        reliable(lab, reliability)
    newest = reliable(lab, 0.9)
    assert choose_scored(lab.place).run.id == newest
    lab.scores(VALUES, "length")
    newest = lab.scores(VALUES, "length")
    found = choose_scored(lab.place, by="length")
    assert (found.run.id, origin(found)) == (newest, f"run {newest}, the newest of 2")


def test_what_covers_more_of_the_samples_comes_first(lab: Lab):
    whole = reliable(lab, 0.5)
    lab.scores(VALUES[:5], ids=IDS[:5], summary={"reliability": 0.99})
    found = choose_scored(lab.place, data=IDS)
    assert (found.run.id, found.among, origin(found)) == (whole, 1, f"run {whole}")


def test_another_model_s_scores_do_not_fit(lab: Lab):
    mine = reliable(lab, 0.5)
    reliable(lab, 0.99, model=OTHER)
    found = choose_scored(lab.place, weights=lab.place.store.run(mine).model)
    assert (found.run.id, found.among) == (mine, 1)


def test_a_run_that_is_named_is_taken(lab: Lab):
    named = reliable(lab, 0.5)
    reliable(lab, 0.99)
    assert choose_scored(lab.place, run=named).run.id == named
