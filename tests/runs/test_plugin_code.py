"""A plugin that was edited in place is another plugin: what it gave before is not read as what it gives now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.plugins import Plugins
from unlearnkit.runs import finetune as finetuning
from unlearnkit.runs.evaluate import evaluate
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.score import score
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

SOURCE = dedent(
    """
    from dataclasses import dataclass
    from unlearnkit.algorithms.ga import GA
    from unlearnkit.contracts import ScoreRequest
    from unlearnkit.hookspecs import hookimpl
    from unlearnkit.metrics.probability import Probability
    from unlearnkit.scorers.mrd import MRD

    @dataclass(frozen=True)
    class Algorithm(GA):
        pass

    @dataclass
    class Scorer(MRD):
        pass

    @dataclass(frozen=True)
    class Metric(Probability):
        pass

    @hookimpl
    def register_algorithms(): return {"mine": Algorithm}

    @hookimpl
    def register_scorers(): return {"mine": Scorer}

    @hookimpl
    def register_metrics(): return {"mine": Metric}
    """
)

ONCE = Schedule(epochs=1, batch_size=4)

USES: dict[str, Callable[[Workplace, str, DataSpec], str]] = {
    "score": lambda place, model, data: score(place, model=model, data=data, scorer="mine", options={"draws": 1}).run,
    "unlearn": lambda place, model, data: unlearn(place, model=model, forget=data, algorithm="mine", schedule=ONCE).run,
    "eval": lambda place, model, data: evaluate(place, model=model, data={"forget": data}, suite_name="mine.yaml").run,
}


@pytest.mark.parametrize("use", USES)
def test_an_edited_plugin_makes_another_run(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("splits: {forget: {metrics: [mine]}}")
    file = tmp_path / "mine.py"

    def run(source: str) -> str:
        """As a process of its own finds it."""
        file.write_text(source)
        place.plugins = Plugins(entry_points=())
        place.plugins.load_file(file)
        return USES[use](place, model, forget)

    first = run(SOURCE)
    assert run(SOURCE) == first
    assert run(SOURCE + "# edited\n") != first


def test_another_kit_makes_another_fine_tuning(
    place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    first = finetune(place, model=model, data=(forget,), schedule=ONCE)
    assert finetune(place, model=model, data=(forget,), schedule=ONCE).run == first.run
    monkeypatch.setattr(finetuning, "__version__", "0.0.1")
    assert finetune(place, model=model, data=(forget,), schedule=ONCE).run != first.run
