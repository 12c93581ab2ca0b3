"""`resume`: make a run's own call again; the store and the checkpoints make it go on where it stopped."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.attack import AttackReport, attack
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.identity import check_environment, environment
from unlearnkit.runs.imported import import_logs
from unlearnkit.runs.score import ScoreReport, score
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

if TYPE_CHECKING:
    from unlearnkit.settings import Settings
    from unlearnkit.store import records

Report = ScoreReport | TrainingReport | EvalReport | AttackReport


def resume(place: Workplace, ref: str) -> Report:
    """Go on with a run; a complete one is reported as it is.

    Raises:
        NotFound: no such run. BadInput: an ambiguous prefix, or an environment that could not give the same bits.
        UnlearnkitError: `not-resumable` for a diverged run, for scores of weights that were never saved, and for what a
            plugin's command made: its request says `by` whom.
    """
    run = place.reading().run(ref)
    asked = requested(run)
    if run.state != "complete":
        check_environment(run, environment(place.settings), inexact=place.inexact)
    settings = settings_of(place.settings, asked)
    with place.going_on_with(run, settings):
        return again(place, run.kind, asked)


def requested(run: records.Run) -> dict[str, Any]:
    """The call that a run was made by, as arguments of its use case and `settings`.

    Raises:
        UnlearnkitError: `not-resumable`, where it was made by none of ours.
    """
    asked = dict(run.config["request"])
    if not asked:
        raise UnlearnkitError(
            f"run {run.id} scored the weights of run {run.parent} while that was training",
            hint=f"unlearnkit resume {run.parent}",
            code="not-resumable",
        )
    if "by" in asked:
        raise UnlearnkitError(
            f"run {run.id} was made by {asked['by']}, whose command goes on with it when it is typed again",
            hint=shlex.join(run.argv) or None,
            code="not-resumable",
        )
    return asked


def again(place: Workplace, kind: str, asked: dict[str, Any]) -> Report:
    """The use case that a request is of, called with it."""
    if kind == "score":
        return score(place, data=DataSpec(**asked.pop("data")), sets=_specs(asked.pop("sets", {})), **asked)
    if kind == "unlearn":
        forget, retain = DataSpec(**asked.pop("forget")), asked.pop("retain", None)
        return unlearn(
            place,
            forget=forget,
            retain=None if retain is None else DataSpec(**retain),
            schedule=Schedule(**asked.pop("schedule")),
            eval_data=_specs(asked.pop("eval_data", {})),
            **asked,
        )
    if kind == "finetune":
        data = tuple(DataSpec(**spec) for spec in asked.pop("data"))
        return finetune(place, data=data, schedule=Schedule(**asked.pop("schedule")), **asked)
    if kind == "attack":
        return attack(place, data=_specs(asked.pop("data")), **asked)
    if "files" in asked:
        return import_logs(place, asked.pop("files"), data=_specs(asked.pop("data")), **asked)[0].report
    return evaluate(place, data=_specs(asked.pop("data")), **asked)


def settings_of(settings: Settings, asked: dict[str, Any]) -> Settings:
    """Settings with those that a request was made under, which are taken out of it."""
    kept: dict[str, Any] = {key: Path(v) if key == "tofu_dir" else v for key, v in asked.pop("settings").items()}
    return replace(settings, **kept)


def _specs(data: Mapping[str, Any]) -> dict[str, DataSpec]:
    return {split: DataSpec(**spec) for split, spec in data.items()}
