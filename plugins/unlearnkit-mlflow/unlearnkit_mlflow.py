"""Runs in MLflow: each is one there, with its options as parameters and its steps, figures and end as metrics.

A run that is gone on with stays the same run. A server that fails once is left alone for the rest of the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlearnkit.extend.trackers import Run, facts
from unlearnkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from mlflow import MlflowClient

unlearnkit_api = "1.0"

TAG = "unlearnkit.run"
"""By which MLflow's run of a run is found again."""

_tracked: dict[str, str] = {}
"""MLflow's ids of the runs that this process works on."""


@hookimpl
def run_started(run: Run) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = _experiment(client)
    known = client.search_runs([experiment], f"tags.`{TAG}` = '{run.id}'", max_results=1)
    if known:
        client.update_run(known[0].info.run_id, status="RUNNING")
        _tracked[run.id] = known[0].info.run_id
        return
    nested = {"mlflow.parentRunId": _tracked[run.parent]} if run.parent in _tracked else {}
    made = client.create_run(experiment, tags={TAG: run.id, **nested}, run_name=f"{run.kind} {run.method} {run.id}")
    _tracked[run.id] = made.info.run_id
    with _tracking(run):
        for name, value in facts(run).items():
            client.log_param(made.info.run_id, name, value)


@hookimpl
def step_finished(run: Run, step: int, terms: Mapping[str, float]) -> None:
    _log(run, terms, step)


@hookimpl
def evaluated(run: Run, figures: Mapping[str, float | None]) -> None:
    _log(run, {name: value for name, value in figures.items() if value is not None}, run.config.get("step", 0))


@hookimpl
def run_finished(run: Run, error: BaseException | None) -> None:
    from mlflow import MlflowClient

    numbers = {name: value for name, value in run.summary.items() if isinstance(value, (int, float))}
    _log(run, {f"final.{name}": float(value) for name, value in numbers.items()}, 0)
    if (found := _tracked.pop(run.id, None)) is not None:
        if error is not None:
            MlflowClient().set_tag(found, "unlearnkit.error", str(error))
        ended = {"complete": "FINISHED", "interrupted": "KILLED"}
        MlflowClient().set_terminated(found, ended.get(run.status, "FAILED"))


def _experiment(client: MlflowClient) -> str:
    """The id of the experiment that MLFLOW_EXPERIMENT_NAME names, or "unlearnkit"."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "unlearnkit")
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)


def _log(run: Run, metrics: Mapping[str, float], step: int) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    if (found := _tracked.get(run.id)) is not None and metrics:
        now = int(time.time() * 1000)
        with _tracking(run):
            MlflowClient().log_batch(found, [Metric(name, value, now, step) for name, value in metrics.items()])


@contextmanager
def _tracking(run: Run) -> Iterator[None]:
    """Whatever fails in here is the last that is tried for the run: MLflow waits long for a server that is gone."""
    try:
        yield
    except BaseException:
        _tracked.pop(run.id, None)
        raise
