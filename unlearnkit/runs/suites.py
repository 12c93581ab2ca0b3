"""What a suite needs and gives, for those who have to bring the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unlearnkit.data.layout import Layout
from unlearnkit.runs.figures import aggregates_of, metrics_of
from unlearnkit.runs.workplace import Workplace
from unlearnkit.suites import Split


@dataclass(frozen=True)
class SplitNeeds:
    """A split: the columns that its rows have, or may have (`extra`), and what is read of it."""

    name: str
    about: str
    columns: Sequence[str]
    extra: Sequence[str]
    metrics: Sequence[str]
    template: str | None
    behind: str | None
    """A split whose samples stand before these."""
    hub: str | None

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Number:
    """A number over samples, and whether it needs a model that never saw the forget set."""

    name: str
    plugin: str
    needs_reference: bool
    better: str


@dataclass(frozen=True)
class SuiteNeeds:
    """A suite, split by split, and its numbers over samples."""

    name: str
    about: str
    source: str
    splits: Sequence[SplitNeeds]
    aggregates: Sequence[Number]

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "splits": [split.json() for split in self.splits]}


def describe(place: Workplace, name: str) -> SuiteNeeds:
    """A suite, or several joined by "+".

    Raises:
        NotFound, BadInput: as `Workplace.suite` and `aggregates_of`.
    """
    suite = place.suite(name)
    metrics = metrics_of(place, suite)
    splits = []
    for split, of in suite.splits.items():
        needs = {need for use in of.metrics for need in metrics[split, use.name].needs}
        other = {"paraphrases": "paraphrased_answer", "wrong": "perturbed_answer"}
        listed = of.rows is not None and of.rows.choices is not None
        extra = [column for need, column in other.items() if need in needs and not listed]
        names = [use.name for use in of.metrics]
        behind = of.examples or (of.before if "prefixed" in needs else None)
        splits.append(SplitNeeds(split, of.about, _columns(of), extra, names, of.template, behind, of.hub))
    numbers = []
    aggregates = aggregates_of(place, suite)
    for use in suite.aggregates:
        aggregate = aggregates[use.name]
        numbers.append(Number(use.name, use.plugin, aggregate.needs_reference, aggregate.direction))
    return SuiteNeeds(suite.name, suite.about, suite.source, splits, numbers)


def _columns(of: Split) -> tuple[str, ...]:
    return (of.rows or Layout()).columns
