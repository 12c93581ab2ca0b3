"""Suites are files: what they say is read, and what is wrong with them is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from unlearnkit.errors import BadInput, NotFound
from unlearnkit.metrics.model_utility import TERMS
from unlearnkit.plugins import Plugins
from unlearnkit.runs.figures import metrics_of
from unlearnkit.runs.workplace import Workplace
from unlearnkit.suites import Split, Suite, Use, read

BUILT_IN = sorted(Plugins(entry_points=()).offers("suite"))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Suite]:
    def of(text: str) -> Suite:
        file = tmp_path / "mine.yaml"
        file.write_text(text, encoding="utf-8")
        return read(file, "mine")

    return of


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_suites_name_metrics_and_aggregates_that_there_are(name: str):
    place = Workplace()
    chosen = place.suite(name)
    assert chosen.name == name and chosen.about and chosen.source
    metrics_of(place, chosen)
    for use in chosen.aggregates:
        place.plugins.build("aggregate", use.plugin, use.options)
    assert all(of.before is None or of.before in chosen.splits for of in chosen.splits.values())


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_suite_is_read_back_from_what_is_kept_of_it(name: str):
    chosen = Workplace().suite(name)
    assert Suite.of(json.loads(json.dumps(chosen.json()))) == chosen


def test_what_stands_before_samples_for_one_suite_is_no_other_way_to_ask_for_another():
    place = Workplace()
    both, other = place.suite("tofu+membership").splits["forget"], place.suite("membership").splits["forget"]
    assert (both.before, both.shots) == (other.before, other.shots)
    assert place.suite("membership+tofu").splits["forget"].before == other.before


def test_tofu_reads_what_its_aggregates_need():
    tofu = Workplace().suite("tofu")
    names = {split: {use.name for use in of.metrics} for split, of in tofu.splits.items()}
    for split, terms in TERMS.items():
        assert set(terms) <= names[split]
    assert "truth_ratio" in names["forget"]


def test_a_file_says_plugins_options_and_what_holds_for_a_split(written: Callable[[str], Suite]):
    found = written(
        """
        splits:
          forget:
            metrics: [probability, {f1: {plugin: rouge, score: f1}}]
            max_new_tokens: 8
            template: verbatim
        aggregates: [{utility: {plugin: model_utility}}]
        """
    )
    metrics = (Use("probability", "probability"), Use("f1", "rouge", {"score": "f1"}))
    split = Split(metrics, max_new_tokens=8, template="verbatim")
    assert found == Suite("mine", {"forget": split}, (Use("utility", "model_utility"),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("splits: [", "not YAML"),
        ("[]", "no suite"),
        ("splits: {forget: {}}", "splits.forget.metrics"),
        ("splits: {forget: {metrics: [probability], more: 1}}", "splits.forget.more"),
        ("splits: {}\nextra: 1", "extra"),
        ("!!python/object/apply:os.system [true]", "not YAML"),
        ("max_new_tokens: 0\nsplits: {forget: {metrics: [loss]}}", "max_new_tokens: not 1"),
        ("splits: {'forget@x': {metrics: [loss]}}", "forget@x"),
        ("splits: {forget: {metrics: [{'@generation': {plugin: loss}}]}}", "@generation"),
        ("splits: {forget: {metrics: [loss, {loss: {plugin: probability}}]}}", "twice"),
        ("splits: {forget: {metrics: [loss]}}\naggregates: [{x: {plugin: auc}}, {x: {plugin: tpr}}]", "twice"),
        ("splits: {forget: {metrics: [loss], shots: -1}}", "forget.shots"),
        ("splits: {forget: {metrics: [loss], longest_answer: 0}}", "forget.longest_answer"),
        ("splits: {forget: {metrics: [recall], before: nowhere}}", "no split nowhere"),
        ("splits: {forget: {metrics: [rouge], stop: ['']}}", "forget.stop"),
        ("splits: {forget: {metrics: [loss], rows: {shot: '{question}'}}}", "forget.rows.shot"),
        ("splits: {forget: {metrics: [choice], rows: {choices: options, answer: 'it is {a}'}}}", "forget.rows.answer"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(written: Callable[[str], Suite], text: str, said: str):
    with pytest.raises(BadInput, match=said) as caught:
        written(text)
    assert caught.value.code == "suite"


def test_a_near_miss_is_suggested_and_a_far_one_gets_the_list():
    place = Workplace()
    with pytest.raises(NotFound) as near:
        place.suite("tofuu")
    assert near.value.hint == 'did you mean "tofu"?'
    with pytest.raises(NotFound) as far:
        place.suite("xyzzy")
    assert far.value.hint is not None and "tofu" in far.value.hint
    assert (far.value.code, far.value.exit_code) == ("suite", 3)
    with pytest.raises(NotFound, match=r"no suite file at gone\.yaml"):
        place.suite("gone.yaml")


def test_two_suites_in_one_have_each_metric_once():
    rouge, f1 = Use("rouge", "rouge"), Use("rouge", "rouge", {"score": "f1"})
    one = Suite("one", {"forget": Split((rouge,))}, max_new_tokens=8)
    other = Suite("other", {"forget": Split((rouge, Use("probability", "probability"))), "retain": Split((rouge,))})
    both = one.beside(other)
    assert (both.name, both.max_new_tokens) == ("one+other", 200)
    assert {split: [use.name for use in of.metrics] for split, of in both.splits.items()} == {
        "forget": ["rouge", "probability"],
        "retain": ["rouge"],
    }
    with pytest.raises(BadInput, match='"rouge" means two things in split forget'):
        one.beside(Suite("third", {"forget": Split((f1,))}))
    with pytest.raises(BadInput, match="put split forget to a model in two ways"):
        one.beside(Suite("third", {"forget": Split((), template="verbatim")}))


PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_every_suite_is_described_with_its_splits():
    rows = {line.split("|")[1].strip(" `"): line for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    place = Workplace()
    for name in BUILT_IN:
        assert place.suite(name).source.removeprefix("arXiv ").split(",")[0] in rows[name] or name == "own"


def test_what_a_file_may_say_is_described(written: Callable[[str], Suite]):
    text = PAGE.read_text()
    for field in fields(Split):
        assert f"`{field.name}`" in text or field.name == "about", field.name
    (example,) = re.findall(r"```yaml[^\n]*\n(.*?)```", text, re.DOTALL)
    found = written(example)
    metrics_of(Workplace(), found)
    exam = found.splits["forget_exam"]
    assert exam.rows is not None and exam.rows.columns == ("stem", "options", "key")
    assert (exam.examples, exam.shots, found.splits["shots"].metrics) == ("shots", 3, ())
