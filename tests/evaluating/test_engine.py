"""What is in the store is not asked of a model again, whichever run put it there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs.conftest import *  # noqa: F403 - the workplace of use cases
from transformers import LlamaModel

from unlearnkit import evaluating
from unlearnkit.contracts import Need, Sample
from unlearnkit.data.samples import DataSpec
from unlearnkit.evaluating.engine import pieces
from unlearnkit.runs.evaluate import EvalReport, evaluate
from unlearnkit.runs.workplace import Workplace

Asked = list[tuple[int, frozenset[Need]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """How many samples a model is asked about at a time, and what."""
    found: Asked = []
    probe = evaluating.Evaluator.probe

    def watched(self: Any, samples: Sequence[Any], needs: Any, *rest: Any, **more: Any) -> Any:
        found.append((len(samples), frozenset(needs)))
        return probe(self, samples, needs, *rest, **more)

    monkeypatch.setattr(evaluating.Evaluator, "probe", watched)
    return found


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., str]:
    """A suite file with some metrics of the forget set."""

    def of(name: str, *metrics: str) -> str:
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"max_new_tokens: 4\nsplits: {{forget: {{metrics: [{', '.join(metrics)}]}}}}")
        return file.name

    return of


@pytest.fixture
def run(place: Workplace, model: str, forget: DataSpec) -> Callable[..., EvalReport]:
    def of(suite_name: str, data: DataSpec = forget, **more: Any) -> EvalReport:
        return evaluate(place, model=model, data={"forget": data}, suite_name=suite_name, **more)

    return of


def test_two_suites_share_what_both_read(run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked):
    first = run(suite("one", "probability", "rouge"))
    assert asked == [(8, {"answer", "generation"})]
    second = run(suite("two", "probability", "exact_memorization"))
    assert asked[1:] == [(8, {"answer"})] and second.run != first.run
    assert second.metrics["forget.probability"] == first.metrics["forget.probability"]
    third = run(suite("three", "rouge", "exact_memorization"))
    assert len(asked) == 2 and (third.computed, third.from_store) == (0, 8)


def test_a_metric_may_be_called_as_a_need_is(run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked):
    run(suite("one", "{generation: {plugin: rouge}}"))
    again = run(suite("two", "{generation: {plugin: rouge}}"))
    assert (len(asked), again.computed) == (1, 0)


def test_other_numbers_over_the_same_samples_are_another_run_of_the_same_values(
    run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked, tmp_path: Path
):
    names = ("probability", "exact_memorization")
    file = suite("one", *names)
    plain = (tmp_path / file).read_text()
    found = []
    for name in names:
        (tmp_path / file).write_text(
            f"{plain}\naggregates: [{{uc: {{plugin: unlearning_completeness, metrics: [{name}]}}}}]"
        )
        found.append(run(file))
        assert found[-1].aggregates["uc"].value == 1 - found[-1].metrics[f"forget.{name}"].value  # type: ignore[operator]
    assert found[0].run != found[1].run and len(asked) == 1


def test_two_suites_at_once_make_one_pass(run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked):
    both = run(f"{suite('one', 'probability')}+{suite('two', 'exact_memorization', 'probability')}")
    assert asked == [(8, {"answer"})]
    assert set(both.metrics) == {"forget.probability", "forget.exact_memorization"}


def test_what_two_suites_read_runs_the_model_once(
    run: Callable[..., EvalReport], suite: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """Counted at the decoder itself, below all that might share or not."""
    passes: list[int] = []
    forward = LlamaModel.forward

    def counted(self: Any, *args: Any, **more: Any) -> Any:
        passes.append(1)
        return forward(self, *args, **more)

    monkeypatch.setattr(LlamaModel, "forward", counted)
    one, two = suite("one", "probability", "rouge"), suite("two", "exact_memorization", "probability")
    run(f"{one}+{two}")
    both = len(passes)
    run(one)
    run(two)
    assert len(passes) == both > 0, "what both read is in the store"


def test_samples_are_shared_between_sets(
    run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked, forget: DataSpec, tmp_path: Path
):
    rows = Path(forget.source).read_text().splitlines(keepends=True)
    (tmp_path / "half.jsonl").write_text("".join(rows[:4]))
    half = run(suite("one", "probability"), DataSpec(str(tmp_path / "half.jsonl")))
    whole = run("one.yaml")
    assert [n for n, _ in asked] == [4, 4] and (whole.computed, whole.from_store) == (4, 4)
    assert whole.metrics["forget.probability"].n == 8 and half.metrics["forget.probability"].n == 4


@pytest.mark.parametrize("many", [0, 1, 3, 8, 11, 12, 40, 100])
@pytest.mark.parametrize("size", [1, 8])
def test_pieces_of_work_are_even_and_hold_each_sample_once(many: int, size: int):
    rng = np.random.default_rng(many)
    samples = [Sample(str(i), i, "q" * int(rng.integers(1, 40)), "a") for i in range(many)]
    found = list(pieces(samples, size))
    assert sorted(s.position for piece in found for s in piece) == list(range(many))
    lengths = [len(s.prompt) for piece in found for s in piece]
    assert lengths == sorted(lengths)
    sizes = [len(piece) for piece in found]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert all(n < 1.5 * size + 1 for n in sizes) and (many < size or all(n > size / 2 for n in sizes))


def test_a_smaller_batch_goes_on_where_a_larger_one_ended(
    run: Callable[..., EvalReport], suite: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    """As after running out of memory."""
    probe = evaluating.Evaluator.probe

    def failing(self: Any, samples: Any, *rest: Any, **more: Any) -> Any:
        if self.batch_size > 1:
            raise MemoryError
        return probe(self, samples, *rest, **more)

    monkeypatch.setattr(evaluating.Evaluator, "probe", failing)
    name = suite("one", "probability")
    with pytest.raises(MemoryError):
        run(name, batch_size=2)
    assert run(name, batch_size=1).computed == 8


def test_text_metrics_are_read_again_from_stored_texts(
    place: Workplace, run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked
):
    f1 = "{f1: {plugin: rouge, score: f1}}"
    place.settings = replace(place.settings, store_text=True)
    run(suite("one", "rouge"))
    found = run(suite("two", f1))
    assert len(asked) == 1 and found.computed == 0 and found.metrics["forget.f1"].n == 8
    place.settings = replace(place.settings, store_text=False)
    again = run(suite("three", "{f1_again: {plugin: rouge, score: f1}}"))
    assert len(asked) == 1 and again.metrics["forget.f1_again"].value == found.metrics["forget.f1"].value


def test_without_stored_texts_the_model_is_asked_again(
    run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked
):
    run(suite("one", "rouge"))
    run(suite("two", "{f1: {plugin: rouge, score: f1}}"))
    assert asked == [(8, {"generation"})] * 2


def test_another_option_or_template_is_another_value(
    run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked
):
    run(suite("one", "probability", "rouge"))
    run("one.yaml", template="verbatim")
    run("one.yaml", max_new_tokens=3)
    assert asked[1:] == [(8, {"answer", "generation"}), (8, {"generation"})]


def test_what_a_removed_run_found_is_found_again(
    place: Workplace, run: Callable[..., EvalReport], suite: Callable[..., str], asked: Asked
):
    first = run(suite("one", "probability"))
    place.store.remove_run(first.run)
    assert run(suite("two", "probability")).computed == 8 and len(asked) == 2
