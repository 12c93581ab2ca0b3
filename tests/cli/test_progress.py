"""Without a terminal, progress is a line now and then, and its estimate survives breaks."""

from __future__ import annotations

import re

import pytest

from unlearnkit.cli import output


def test_many_short_stretches_are_not_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    progress = output.TerminalProgress()
    progress._terminal = False
    for draw in range(100):
        progress.start(f"draw {draw}", 4)
        for _ in range(4):
            now[0] += 1
            progress.advance()
        progress.finish()
    lines = capsys.readouterr().err.splitlines()
    assert 400 / (output.PLAIN_EVERY + 2) <= len(lines) <= 400 / output.PLAIN_EVERY


def test_a_bar_that_comes_back_goes_on_at_its_rate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    progress = output.TerminalProgress()
    progress._terminal = False
    for total, seconds in ((40, 3.0), (20, 20.0)):  # one run after another, both "training"
        for step in range(total):
            now[0] += seconds
            if step % 4 == 0:  # as an epoch begins
                progress.start("training", total, step)
            progress.advance()
    lines = re.findall(r"training: (\d+) of (\d+), about (\d+) s left", capsys.readouterr().err)
    assert len(lines) > 20
    for done, total, left in (map(int, line) for line in lines):
        if done >= 8:  # the first step is over before the bar first shows, so early estimates are low
            assert left == pytest.approx((total - done) * (3.0 if total == 40 else 20.0), rel=0.2, abs=1)


def test_the_last_line_is_about_what_is_being_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    progress = output.TerminalProgress()
    progress._terminal = False
    for split in ("forget", "retain"):
        progress.start(f"evaluating {split}", 20)
        now[0] += 60  # a piece that is the whole split
        progress.advance(20)
        progress.finish()
    progress.start("evaluating holdout", 40)
    now[0] += 60
    progress.advance(20)
    assert capsys.readouterr().err.splitlines() == [
        "evaluating retain: 0 of 20",
        "evaluating holdout: 0 of 40",
        "evaluating holdout: 20 of 40, about 60 s left",
    ]
