"""Every hook that a plugin may implement.

A `register_*` hook returns a mapping from a name to an import string `"package.module:Class"` (or to the class itself,
which suits notebooks and tests). Strings keep listings instant: the class is imported when the name is used. What
raises in one of the last four, which only listen, is logged once and ends no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from unlearnkit.contracts import Adapter, Aggregate, Algorithm, Attack, Metric, Sampler, Scorer, Wrapper
    from unlearnkit.store.records import Run

hookspec = pluggy.HookspecMarker("unlearnkit")
hookimpl = pluggy.HookimplMarker("unlearnkit")


@hookspec
def register_algorithms() -> Mapping[str, str | type[Algorithm]]:  # type: ignore[empty-body]
    """Unlearning methods by name."""


@hookspec
def register_wrappers() -> Mapping[str, str | type[Wrapper]]:  # type: ignore[empty-body]
    """Ways to make a step's gradient out of an algorithm's, by name."""


@hookspec
def register_scorers() -> Mapping[str, str | type[Scorer]]:  # type: ignore[empty-body]
    """Difficulty measures by name."""


@hookspec
def register_samplers() -> Mapping[str, str | type[Sampler]]:  # type: ignore[empty-body]
    """Orders of the forget set by name."""


@hookspec
def register_metrics() -> Mapping[str, str | type[Metric]]:  # type: ignore[empty-body]
    """Per-sample measures by name."""


@hookspec
def register_aggregates() -> Mapping[str, str | type[Aggregate]]:  # type: ignore[empty-body]
    """Numbers over stored columns by name."""


@hookspec
def register_suites() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Suites by name: where the file is, as `"package.module:file.yaml"`, beside the module."""


@hookspec
def register_adapters() -> Mapping[str, str | type[Adapter]]:  # type: ignore[empty-body]
    """Ways to train an addition instead of the weights, by name."""


@hookspec
def register_attacks() -> Mapping[str, str | type[Attack]]:  # type: ignore[empty-body]
    """Ways to make a model say again what it was to forget, by name."""


@hookspec(firstresult=True)
def load_dataset(source: str, split: str | None) -> list[dict[str, Any]] | None:
    """Rows of a data source that the kit does not know itself, as dictionaries; None to pass.

    :param source: what was typed for `--data`, `--forget` or `--retain`, for example `mydb:people`.
    :param split: what was typed for `--split`, or None.
    """


@hookspec(firstresult=True)
def load_model(source: str, options: Mapping[str, Any]) -> str | None:
    """A local folder in transformers' format for a model source that the kit does not know itself; None to pass.

    :param source: what was typed for `--model`, for example `s3:team/model`.
    :param options: `allow_download` (bool), `cache_dir` (str) and `write` (bool): whether that may be written to.
    """


@hookspec
def run_started(run: Run) -> None:
    """A run has been recorded and begins or goes on.

    :param run: its record.
    """


@hookspec
def step_finished(run: Run, step: int, terms: Mapping[str, float]) -> None:
    """An optimiser step is done.

    :param run: its record.
    :param step: number of steps done, from 1.
    :param terms: the step's terms, loss, learning rate and gradient norm.
    """


@hookspec
def evaluated(run: Run, figures: Mapping[str, float | None]) -> None:
    """A model has been measured, before `run_finished` of the evaluation. What the store had whole already is no news.

    :param run: the evaluation's record. One made on a training run's way has that as its `parent`, and the number of
        optimiser steps as `config["step"]`.
    :param figures: each split's means ("forget.probability") and the aggregates ("model_utility") by name; None where
        undefined.
    """


@hookspec
def run_finished(run: Run, error: BaseException | None) -> None:
    """A run has ended.

    :param run: its record, in its last state.
    :param error: what ended it, or None when it is complete.
    """
