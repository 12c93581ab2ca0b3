from __future__ import annotations

import os
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import unlearnkit_trackio

from unlearnkit.testing import TrackerContract
from unlearnkit.testing.tracker import TERMS, made_run

HOME = TemporaryDirectory(prefix="trackio-")
os.environ["TRACKIO_DIR"] = HOME.name  # read once, when it is imported
trackio = pytest.importorskip("trackio", reason="trackio is not installed: pip install trackio")


@pytest.fixture(autouse=True)
def project(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A project for each test."""
    name = f"test-{request.node.name}".replace("_", "-")
    monkeypatch.setenv("TRACKIO_PROJECT", name)
    yield name
    unlearnkit_trackio._open.clear()
    unlearnkit_trackio._followed.clear()


class TestTrackio(TrackerContract):
    plugin = unlearnkit_trackio


def logged(project: str) -> dict[str, list[dict[str, Any]]]:
    """Each run's points, read by Trackio."""
    storage = trackio.sqlite_storage.SQLiteStorage
    return {run.name: storage.get_logs(project, run.name) for run in trackio.Api().runs(project)}


def test_a_run_has_its_options_and_steps_and_says_nothing_on_stdout(project: str, capsys: pytest.CaptureFixture[str]):
    run = made_run("unlearn")
    unlearnkit_trackio.run_started(run)
    for step in (1, 2):
        unlearnkit_trackio.step_finished(run, step, {"loss": step / 2})
    unlearnkit_trackio.run_finished(made_run("unlearn", state="complete"), None)
    ((name, points),) = logged(project).items()
    assert name == f"unlearn-npo-{run.id}"
    assert [(point["step"], point["loss"]) for point in points] == [(1, 0.5), (2, 1.0)]
    (kept,) = trackio.Api().runs(project)
    assert kept.config["options.beta"] == 0.1
    assert capsys.readouterr().out == ""


def test_a_run_that_is_gone_on_with_is_the_same(project: str):
    run = made_run("unlearn")
    for step in (1, 2):
        unlearnkit_trackio.run_started(run)
        unlearnkit_trackio.step_finished(run, step, TERMS)
        unlearnkit_trackio.run_finished(run, None)
    ((_, points),) = logged(project).items()
    assert [point["step"] for point in points] == [1, 2]


def test_training_goes_on_behind_an_evaluation_on_its_way(project: str):
    outer = made_run("unlearn")
    inner = made_run("eval", id="0" * 26, parent=outer.id, config={"step": 1})
    unlearnkit_trackio.run_started(outer)
    unlearnkit_trackio.step_finished(outer, 1, {"loss": 1.0})
    unlearnkit_trackio.run_started(inner)
    unlearnkit_trackio.evaluated(inner, {"forget.probability": 0.25, "forget_quality": None})
    unlearnkit_trackio.run_finished(inner, None)
    unlearnkit_trackio.step_finished(outer, 2, {"loss": 0.5})
    unlearnkit_trackio.run_finished(outer, None)
    found = logged(project)
    assert [point["loss"] for point in found[f"unlearn-npo-{outer.id}"]] == [1.0, 0.5]
    (point,) = found[f"eval-npo-{inner.id}"]
    assert (point["step"], point["forget.probability"], "forget_quality" in point) == (1, 0.25, False)


def test_a_run_that_failed_has_an_alert(project: str):
    run = made_run("unlearn")
    unlearnkit_trackio.run_started(run)
    unlearnkit_trackio.step_finished(run, 1, TERMS)
    unlearnkit_trackio.run_finished(made_run("unlearn", state="failed"), RuntimeError("no memory"))
    (alert,) = trackio.Api().alerts(project)
    assert (alert["title"], alert["text"]) == ("unlearn npo failed", "no memory")


def test_where_it_failed_it_is_not_asked_again(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def init(**_: object) -> None:
        asked.append(1)
        raise OSError("no disk")

    monkeypatch.setattr(trackio, "init", init)
    run = made_run("unlearn")
    with pytest.raises(OSError, match="no disk"):
        unlearnkit_trackio.run_started(run)
    unlearnkit_trackio.step_finished(run, 1, TERMS)
    unlearnkit_trackio.run_finished(run, None)
    assert asked == [1]
