"""Held against each other is what two evaluations measured alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec
from unlearnkit.plugins import Plugins
from unlearnkit.runs.alike import alike
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.figures import metrics_of
from unlearnkit.runs.workplace import Workplace

PLUGIN = dedent(
    """
    from dataclasses import dataclass, field
    from pathlib import Path
    from unlearnkit.contracts import Metric
    from unlearnkit.hookspecs import hookimpl

    @dataclass{}
    class Mine(Metric):
        {}: float = 1.0
        direction = "higher"

        @property
        def reads(self): return (Path("read.txt").read_text(),)

        def measure(self, probe): return [a.mean_nll for a in probe.answer]

    @hookimpl
    def register_metrics(): return {{"mine": Mine}}
    """
)
SUITE = dedent(
    """
    splits:
      forget: {{metrics: [{metric}], before: holdout, shots: {shots}, stop: {stop}}}
      holdout: {{metrics: [{metric}], before: forget, shots: {shots}, stop: {stop}}}
    aggregates: [{{leak: {{plugin: privacy_leakage, score: {name}}}}}]
    """
)

Run = Callable[..., EvalReport]
Leak = Callable[..., str | None]


@pytest.fixture
def run(place: Workplace, tiny_model_dir: Path, forget: DataSpec, retain: DataSpec) -> Run:
    """Evaluates a model, as a process of its own that finds these files."""

    def run(metric: str, *, flags: str = "", option: str = "a", read: str = "", shots: int = 2, stop: Any = (),
            longest: int = 4, reference: str | None = None, model: Path = tiny_model_dir) -> EvalReport:  # fmt: skip
        (name, *_) = re.findall(r"\w+", metric)
        Path("suite.yaml").write_text(SUITE.format(metric=metric, name=name, shots=shots, stop=list(stop)))
        Path("read.txt").write_text(read)
        Path("mine.py").write_text(PLUGIN.format(flags, option))
        place.plugins = Plugins(entry_points=())
        place.plugins.load_file(Path("mine.py"))
        return evaluate(
            place, model=str(model), data={"forget": forget, "holdout": retain}, suite_name="suite.yaml",
            max_new_tokens=longest, reference=reference,
        )  # fmt: skip

    return run


@pytest.fixture
def leak(run: Run, twin_model_dir: Path) -> Leak:
    """Why there is no leakage, where the model is held against its twin and `theirs` was another way to evaluate it."""

    def leak(metric: str, theirs: dict[str, Any], **mine: Any) -> str | None:
        reference = run(**{"metric": metric, **mine, **theirs}, model=twin_model_dir).run
        return run(metric, **mine, reference=reference).aggregates["leak"].reason

    return leak


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        ("mine", {}),
        ("mine", {"metric": "{mine: {a: 1}}"}),
        ("loss", {"longest": 3, "stop": ["."], "shots": 1, "read": "other"}),
        ("recall", {"longest": 3, "stop": ["."]}),
        ("{rouge: {}}", {"shots": 1}),
    ],
    ids=str,
)
def test_what_makes_no_difference_to_a_value(leak: Leak, metric: str, theirs: dict[str, Any]):
    assert leak(metric, theirs, flags="(eq=False)") is None


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        ("mine", {"metric": "{mine: {a: 2}}"}),
        ("mine", {"metric": "{mine: {plugin: loss}}"}),
        ("mine", {"read": "other"}),
        ("mine", {"flags": "(frozen=True)"}),
        ("mine", {"option": "b", "metric": "{mine: {b: 1}}"}),
        ("recall", {"shots": 1}),
        ("rouge", {"longest": 3}),
        ("rouge", {"stop": ["."]}),
    ],
    ids=str,
)
def test_what_does(leak: Leak, metric: str, theirs: dict[str, Any]):
    assert leak(metric, theirs) == "no_reference_scores"


def test_what_a_reference_measured_besides_need_not_be_there_any_more(leak: Leak):
    assert leak("loss", {"metric": "loss, {mine: {b: 1}}", "option": "b"}) is None


@pytest.mark.parametrize(("theirs", "same"), [("a: 1.0", ["loss", "mine"]), ("a: 2", ["loss"]), ("b: 1", ["loss"])])
def test_without_a_word_of_how_plugin_and_options_have_to_do(place: Workplace, run: Run, theirs: str, same: list[str]):
    """As of a log that was imported; an option that there is no more is another definition."""
    reference = place.store.run(run(f"loss, {{mine: {{{theirs}}}}}", option=theirs[0]).run)
    now = place.store.run(run("loss, mine, recall", flags="(eq=False)").run)
    metrics = metrics_of(place, place.suite("suite.yaml"))
    early = replace(reference, config={"suite": reference.config["suite"]})
    found = alike(place, now.config["measured"], early, metrics)
    assert list(found) == [(split, name) for split in ("forget", "holdout") for name in same]
    assert all(found[key] is metrics[key] for key in found)
