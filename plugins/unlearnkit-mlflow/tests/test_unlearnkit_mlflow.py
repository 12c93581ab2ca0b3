from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import unlearnkit_mlflow

from unlearnkit.testing import TrackerContract
from unlearnkit.testing.tracker import TERMS, made_run

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow-skinny")


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SQLite store, which MLflow takes seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def client(
    uri: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[mlflow.MlflowClient]:
    """MLflow, with an experiment for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    yield mlflow.MlflowClient(uri)
    unlearnkit_mlflow._tracked.clear()


class TestMLflow(TrackerContract):
    plugin = unlearnkit_mlflow


def found(client: mlflow.MlflowClient, request: pytest.FixtureRequest) -> list[mlflow.entities.Run]:
    experiment = client.get_experiment_by_name(request.node.name)
    return client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])


def test_a_run_has_its_options_steps_and_last_numbers(client: mlflow.MlflowClient, request: pytest.FixtureRequest):
    run = made_run("unlearn")
    unlearnkit_mlflow.run_started(run)
    for step in (1, 2):
        unlearnkit_mlflow.step_finished(run, step, {"loss": step / 2})
    unlearnkit_mlflow.run_finished(made_run("unlearn", state="complete", summary={"seconds": 3.5, "best": {}}), None)
    (kept,) = found(client, request)
    assert kept.info.status == "FINISHED"
    assert (kept.data.params["method"], kept.data.params["options.beta"]) == ("npo", "0.1")
    assert kept.data.metrics == {"loss": 1.0, "final.seconds": 3.5}
    history = client.get_metric_history(kept.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 1.0)]


def test_a_run_that_is_gone_on_with_is_the_same(client: mlflow.MlflowClient, request: pytest.FixtureRequest):
    for step, stopped in ((1, True), (2, False)):
        unlearnkit_mlflow.run_started(made_run("unlearn"))
        unlearnkit_mlflow.step_finished(made_run("unlearn"), step, TERMS)
        state = {"state": "failed", "error_code": "interrupted"} if stopped else {"state": "complete"}
        unlearnkit_mlflow.run_finished(made_run("unlearn", **state), KeyboardInterrupt() if stopped else None)
        (kept,) = found(client, request)
        assert kept.info.status == ("KILLED" if stopped else "FINISHED")
    assert [point.step for point in client.get_metric_history(kept.info.run_id, "loss")] == [1, 2]


def test_an_evaluation_on_the_way_is_nested(client: mlflow.MlflowClient, request: pytest.FixtureRequest):
    outer = made_run("unlearn")
    inner = made_run("eval", id="0" * 26, parent=outer.id, config={"step": 7})
    for run in (outer, inner):
        unlearnkit_mlflow.run_started(run)
    unlearnkit_mlflow.evaluated(inner, {"forget.probability": 0.25, "forget_quality": None})
    one, other = found(client, request)
    assert other.data.tags["mlflow.parentRunId"] == one.info.run_id
    assert other.data.metrics == {"forget.probability": 0.25}
    assert client.get_metric_history(other.info.run_id, "forget.probability")[0].step == 7


def test_a_server_that_failed_is_not_asked_again(monkeypatch: pytest.MonkeyPatch):
    run = made_run("unlearn")
    unlearnkit_mlflow.run_started(run)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "no-such-scheme://nowhere")
    with pytest.raises(mlflow.exceptions.MlflowException):
        unlearnkit_mlflow.step_finished(run, 1, TERMS)
    unlearnkit_mlflow.step_finished(run, 2, TERMS)
    unlearnkit_mlflow.run_finished(run, None)
