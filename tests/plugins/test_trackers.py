"""The tracker distributions, told of runs by the kit itself: what they kept is what the store has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

from unlearnkit.plugins import plugins
from unlearnkit.store import Store

from .conftest import ROOM

Cli = Callable[..., Answer]
Points = dict[int, float]


def in_trackio(run: str) -> Points:
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    (found,) = [found for found in trackio.Api().runs("unlearnkit") if found.name.endswith(run)]
    points = SQLiteStorage.get_logs("unlearnkit", found.name)
    return {point["step"]: point["loss" if "loss" in point else "forget.probability"] for point in points}


def in_mlflow(run: str) -> Points:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("unlearnkit")
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`unlearnkit.run` = '{run}'")
    name = "loss" if "loss" in found.data.metrics else "forget.probability"
    return {point.step: point.value for point in client.get_metric_history(found.info.run_id, name)}


@pytest.fixture(params=[("trackio", in_trackio), ("mlflow", in_mlflow)], ids=lambda param: param[0])
def kept(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Points]]:
    """What a tracker that listens has of a run's loss, or of an evaluation's first figure, by steps."""
    name, found = request.param
    folder = tmp_path_factory.mktemp(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("TRACKIO_DIR", str(folder))  # read once, when it is imported
    pytest.importorskip(name, reason=f"{name} is not installed")
    monkeypatch.setenv("UNLEARNKIT_PLUGIN_FILE", str(ROOM / f"unlearnkit-{name}" / f"unlearnkit_{name}.py"))
    plugins.cache_clear()
    yield found
    plugins.cache_clear()


@pytest.mark.slow  # importing either takes seconds, as does making MLflow's database
def test_a_run_that_was_stopped_and_one_on_its_way_are_kept_as_the_store_has_them(
    cli: Cli, kept: Callable[[str], Points], tiny_model_dir: Path, forget_file: Path, retain_file: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    from unlearnkit.training.loop import Trainer

    step = Trainer._step

    def failing(self: Any, *args: Any) -> Any:
        if self.done == 2:
            raise RuntimeError("out of luck")
        return step(self, *args)

    words = ["unlearn", "--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--batch-size", 4]
    words += ["--max-steps", 4, "--eval-every", 2, "--checkpoint-every", 1, "--format", "json"]
    monkeypatch.setattr(Trainer, "_step", failing)
    assert cli(*words).code == 1
    monkeypatch.setattr(Trainer, "_step", step)
    done = cli(*words)
    assert done.code == 0, done.err
    assert "failed in" not in done.err
    steps = cli("runs", "show", done.json["run"], "--format", "json").json["steps"]
    assert kept(done.json["run"]) == {row["step"]: row["loss"] for row in steps} and len(steps) == 4
    for at, run in done.json["evaluations"].items():
        with Store.open("unlearnkit.db", readonly=True) as store:
            rows = [row.value for row in store.results(run) if (row.split, row.metric) == ("forget", "probability")]
        assert kept(run) == {int(at): pytest.approx(sum(rows) / len(rows), rel=1e-12)}
