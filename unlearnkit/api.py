"""The Python API: the use cases as plain functions, each in a workplace of its own.

A data set is a `DataSpec` or just its source ("forget.jsonl", "tofu:forget01", a hub name). `store` is a path or URL;
without it, settings decide. Options of plugins are keyword dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.data.samples import DataSpec
from unlearnkit.progress import SILENT, Progress
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import load_settings

if TYPE_CHECKING:
    import pandas

    from unlearnkit.report.certificate import Certificate
    from unlearnkit.report.compare import Comparison
    from unlearnkit.runs.analyze.bias import BiasReport
    from unlearnkit.runs.analyze.difficulty import DifficultyReport
    from unlearnkit.runs.analyze.samples import SamplesReport
    from unlearnkit.runs.attack import AttackReport
    from unlearnkit.runs.diff import Diff
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.imported import Imported
    from unlearnkit.runs.rerun import Rerun
    from unlearnkit.runs.resume import Report
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.runs.split import SplitReport
    from unlearnkit.runs.sweep import SweepReport
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.store.records import Run

Data = str | Path | DataSpec


def score(
    model: str | Path, data: Data, *, scorer: str = "mrd", store: str | Path | None = None,
    progress: Progress = SILENT, **options: Any,
) -> ScoreReport:  # fmt: skip
    """Difficulty of every sample of a set; see `unlearnkit.runs.score.score` for further keywords and errors."""
    from unlearnkit.runs.score import score as use_case

    with _workplace(store, progress) as place:
        return use_case(place, model=str(model), data=_spec(data), scorer=scorer, **options)


def unlearn(
    model: str | Path, forget: Data, retain: Data | None = None, *, algorithm: str = "npo",
    sampler: str = "uniform", store: str | Path | None = None, progress: Progress = SILENT, **options: Any,
) -> TrainingReport:  # fmt: skip
    """Take a forget set out of a model and write the result; see `unlearnkit.runs.unlearn.unlearn`."""
    from unlearnkit.runs.unlearn import unlearn as use_case

    with _workplace(store, progress) as place:
        return use_case(
            place, model=str(model), forget=_spec(forget), retain=None if retain is None else _spec(retain),
            algorithm=algorithm, sampler=sampler, **options,
        )  # fmt: skip


def sweep(
    model: str | Path, forget: Data, retain: Data | None = None, *, algorithms: Sequence[str] = ("npo",),
    samplers: Sequence[str] = ("uniform",), wrappers: Sequence[str | None] = (None,),
    rates: Sequence[float | None] = (None,), seeds: Sequence[int] = (0,),
    each: Mapping[str, Sequence[Any]] | None = None, sampler_each: Mapping[str, Sequence[Any]] | None = None,
    wrapper_each: Mapping[str, Sequence[Any]] | None = None, store: str | Path | None = None,
    progress: Progress = SILENT, **options: Any,
) -> SweepReport:  # fmt: skip
    """Unlearn by every combination and evaluate each. `each` has values of the algorithms' options, by name ("beta") or
    of one of them alone ("npo.beta"); so have the other two. See `unlearnkit.runs.sweep.sweep`."""
    from unlearnkit.runs.axes import Axes
    from unlearnkit.runs.sweep import sweep as use_case

    axes = Axes(
        algorithms, samplers, rates, seeds, each or {}, wrappers, sampler_each or {}, wrapper_each or {}
    )  # fmt: skip
    with _workplace(store, progress) as place:
        return use_case(
            place, axes=axes, model=str(model), forget=_spec(forget), retain=None if retain is None else _spec(retain),
            **options,
        )  # fmt: skip


def finetune(
    model: str | Path, data: Data | Sequence[Data], *, store: str | Path | None = None,
    progress: Progress = SILENT, **options: Any,
) -> TrainingReport:  # fmt: skip
    """Teach a model one or more sets and write the result; see `unlearnkit.runs.finetune.finetune`."""
    from unlearnkit.runs.finetune import finetune as use_case

    many = [data] if isinstance(data, (str, Path, DataSpec)) else data
    with _workplace(store, progress) as place:
        return use_case(place, model=str(model), data=tuple(_spec(d) for d in many), **options)


def evaluate(
    model: str | Path, data: Mapping[str, Data], *, suite: str = "tofu", reference: str | None = None,
    store: str | Path | None = None, progress: Progress = SILENT, **options: Any,
) -> EvalReport:  # fmt: skip
    """Every metric of a suite, per sample and over samples; see `unlearnkit.runs.evaluate.evaluate`."""
    from unlearnkit.runs.evaluate import evaluate as use_case

    specs = {split: _spec(d) for split, d in data.items()}
    with _workplace(store, progress) as place:
        return use_case(place, model=str(model), data=specs, suite_name=suite, reference=reference, **options)


def attack(
    model: str | Path, forget: Data, *, attack: str = "relearn", retain: Data | None = None,
    related: Data | None = None, store: str | Path | None = None, progress: Progress = SILENT, **options: Any,
) -> AttackReport:  # fmt: skip
    """Try to bring back what a model was to forget; see `unlearnkit.runs.attack.attack`."""
    from unlearnkit.runs.attack import attack as use_case

    named = {"forget": forget, "retain": retain, "related": related}
    data = {role: _spec(of) for role, of in named.items() if of is not None}
    with _workplace(store, progress) as place:
        return use_case(place, model=str(model), attack=attack, data=data, **options)


def import_logs(
    files: str | Path | Sequence[str | Path], *, data: Mapping[str, Data] | None = None, reference: str | None = None,
    name: str | None = None, store: str | Path | None = None, progress: Progress = SILENT,
) -> list[Imported]:  # fmt: skip
    """Other programs' per-sample logs as evaluations; see `unlearnkit.runs.imported.import_logs`."""
    from unlearnkit.runs.imported import import_logs as use_case

    several = [files] if isinstance(files, (str, Path)) else files
    specs = {split: _spec(d) for split, d in (data or {}).items()}
    with _workplace(store, progress) as place:
        return use_case(place, several, data=specs, reference=reference, name=name)


def certificate(
    run: str, *, model: str | Path | None = None, request: str | None = None, signed_by: str | None = None,
    store: str | Path | None = None,
) -> Certificate:  # fmt: skip
    """What an unlearn run was asked, did and measured, and what is not proven; see
    `unlearnkit.report.certificate.issue`."""
    from unlearnkit.report.certificate import issue

    with _workplace(store, SILENT) as place:
        return issue(place, run, model=None if model is None else str(model), request=request, signed_by=signed_by)


def compare(
    one: str, other: str, *, metrics: Sequence[str] = (), scores: str | None = None, store: str | Path | None = None
) -> Comparison:
    """Two evaluations sample by sample; see `unlearnkit.report.compare.compare`."""
    from unlearnkit.report.compare import compare as use_case

    with _workplace(store, SILENT) as place:
        return use_case(place, one, other, metrics=metrics, scores=scores)


def diff(one: str, other: str, *, everything: bool = False, store: str | Path | None = None) -> Diff:
    """In what two runs differ; see `unlearnkit.runs.diff.diff`."""
    from unlearnkit.runs.diff import diff as use_case

    with _workplace(store, SILENT) as place:
        return use_case(place, one, other, everything=everything)


def rerun(run: str, *, store: str | Path | None = None, progress: Progress = SILENT) -> Rerun:
    """Do a run again and say whether the same came out; see `unlearnkit.runs.rerun.rerun`."""
    from unlearnkit.runs.rerun import rerun as use_case

    with _workplace(store, progress) as place:
        return use_case(place, run)


def find_runs(where: str | None = None, *, store: str | Path | None = None) -> list[Run]:
    """The runs for which a condition holds, or all, newest first; see `unlearnkit.runs.where`."""
    from unlearnkit.runs.where import select

    with _workplace(store, SILENT) as place:
        return place.reading().runs() if where is None else select(place, where)


def frame(
    what: str, *, runs: Sequence[str] | None = None, where: str | None = None, store: str | Path | None = None
) -> pandas.DataFrame:
    """Stored "scores", "results", "generations", "aggregates" or "steps" of runs, of those for which the condition
    `where` holds, or of all complete ones; see `unlearnkit.Store.frame`."""
    from unlearnkit.runs.where import select

    with _workplace(store, SILENT) as place:
        named = runs if where is None else [run.id for run in select(place, where)]
        return place.reading().frame(what, named)


def report_html(
    path: str | Path, runs: Sequence[str] = (), *, text: bool = False, force: bool = False,
    store: str | Path | None = None,
) -> Path:  # fmt: skip
    """What the store says of some runs, or of the newest, as one HTML file; see `unlearnkit.report.html`.

    Args:
        text: show samples' texts, where the store holds them.
        force: replace a file that is there.

    Raises:
        BadInput: code `exists`; NotFound, BadInput: a reference that means no run, or several.
    """
    from unlearnkit.report.collect import collect
    from unlearnkit.report.html import NEWEST, Wanted, write

    wanted = Wanted(html=Path(path), text=text, force=force)
    wanted.check()
    with _workplace(store, SILENT) as place:
        (written,) = write(place, collect(place, runs, newest=None if runs else NEWEST), runs, wanted)
    return written


def resume(run: str, *, store: str | Path | None = None, progress: Progress = SILENT) -> Report:
    """Go on with a run that was interrupted or failed."""
    from unlearnkit.runs.resume import resume as use_case

    with _workplace(store, progress) as place:
        return use_case(place, run)


def analyze_difficulty(
    *, store: str | Path | None = None, progress: Progress = SILENT, **options: Any
) -> DifficultyReport:
    """How well stored scores predict updates to forget; see `unlearnkit.runs.analyze.difficulty`."""
    from unlearnkit.runs.analyze import difficulty

    with _workplace(store, progress) as place:
        return difficulty(place, **options)


def analyze_samples(
    data: Data | None = None, *, store: str | Path | None = None, progress: Progress = SILENT, **options: Any
) -> SamplesReport:
    """What hard and easy samples look like, with their texts from `data`; see `unlearnkit.runs.analyze.samples`."""
    from unlearnkit.runs.analyze import samples

    with _workplace(store, progress) as place:
        return samples(place, data=None if data is None else _spec(data), **options)


def analyze_bias(*, store: str | Path | None = None, progress: Progress = SILENT, **options: Any) -> BiasReport:
    """Whether the choice of samples changes a ranking of methods; see `unlearnkit.runs.analyze.bias`."""
    from unlearnkit.runs.analyze import bias

    with _workplace(store, progress) as place:
        return bias(place, **options)


def split(
    data: Data, out: str | Path, *, store: str | Path | None = None, progress: Progress = SILENT, **options: Any
) -> SplitReport:
    """Write a data set as files by difficulty; see `unlearnkit.runs.split.split`."""
    from unlearnkit.runs.split import split as use_case

    with _workplace(store, progress) as place:
        return use_case(place, data=_spec(data), out=str(out), **options)


def _spec(data: Data) -> DataSpec:
    return data if isinstance(data, DataSpec) else DataSpec(str(data))


@contextmanager
def _workplace(store: str | Path | None, progress: Progress) -> Iterator[Workplace]:
    settings = load_settings()
    if store is not None:
        settings = replace(settings, store=str(store))
    with Workplace(settings, progress) as place:
        yield place
