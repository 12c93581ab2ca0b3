"""What each number means: its definition, which way is better, its unit, and who uses it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from unlearnkit.contracts import Direction
from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.plugins.hooks import SUITE
from unlearnkit.plugins.origin import nearest
from unlearnkit.runs.imported.log import ROUGES, recorded_as
from unlearnkit.suites import Suite, Use

if TYPE_CHECKING:
    from unlearnkit.plugins.fields import Description
    from unlearnkit.runs.workplace import Workplace

Kind = Literal["metric", "aggregate"]
KINDS: tuple[Kind, ...] = ("metric", "aggregate")


@dataclass(frozen=True)
class Meaning:
    """Of a number in a report: which way is better after unlearning, its unit, and the command that defines it."""

    direction: Direction
    unit: str
    definition: str

    def json(self) -> dict[str, str]:
        return vars(self).copy()


def meanings(place: Workplace, suite: Suite) -> dict[str, Meaning]:
    """What a suite's numbers mean, by name ("split.metric", or an aggregate's); without those whose plugin is gone."""
    there = {kind: place.plugins.offers(kind) for kind in KINDS}
    found = {}
    for split, of in suite.splits.items():
        for use in of.metrics:
            if use.plugin in there["metric"]:
                metric = place.plugins.build("metric", use.plugin, use.options)
                found[f"{split}.{use.name}"] = Meaning(metric.better(split), metric.unit, _command(use))
    for use in suite.aggregates:
        if use.plugin in there["aggregate"]:
            aggregate = place.plugins.build("aggregate", use.plugin, use.options)
            found[use.name] = Meaning(aggregate.direction, _unit(aggregate), _command(use))
    return found


def _command(use: Use) -> str:
    """By the plugin's name: a suite's own name for it may be of a file that is not at hand."""
    return f"unlearnkit metrics show {use.plugin}"


def _unit(plugin: Any) -> str:
    return str(getattr(plugin, "unit", ""))


@dataclass(frozen=True)
class Definition:
    """A metric or an aggregate under a name: its plugin, in words, as it is used there; `doc` is its whole docstring.

    `better` is by split for a metric, and under "" for an aggregate. `suites` says where it is used: suite to splits,
    none for an aggregate."""

    name: str
    kind: Kind
    use: Use
    about: Description
    doc: str
    better: dict[str, Direction]
    unit: str
    needs: tuple[str, ...]
    needs_reference: bool
    suites: dict[str, list[str]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        about = self.about
        return {
            "name": self.name,
            "kind": self.kind,
            "plugin": self.use.plugin,
            "options": dict(self.use.options),
            "definition": self.doc,
            "better": dict(self.better),
            "unit": self.unit,
            "source": about.source,
            "needs": list(self.needs),
            "needs_reference": self.needs_reference,
            "suites": self.suites,
        }


Used = tuple[Kind, Use, str, "str | None"]
"""A use in a suite, with the suite's name and the split."""


def definitions(place: Workplace, evaluated: Iterable[Used] = ()) -> list[Definition]:
    """Every metric and aggregate by name, and the names under which suites use them with other options, or under which
    something was `evaluated`."""
    there = {kind: place.plugins.offers(kind) for kind in KINDS}
    used = [one for one in (*_used(place), *evaluated) if one[1].plugin in there[one[0]]]
    found = []
    for kind in KINDS:
        plugins = [(kind, Use(name, name)) for name in there[kind]]
        names = [*plugins, *((k, use) for k, use, _, _ in used if k == kind and (k, use) not in plugins)]
        unique = [pair for i, pair in enumerate(names) if pair not in names[:i]]
        found += [_definition(place, kind, use, used) for _, use in unique]
    return found


def define(place: Workplace, name: str) -> list[Definition]:
    """What is meant by a name, by "split.metric" too; several where suites differ, those of evaluations in the store
    among them.

    Raises:
        NotFound: code "plugin".
    """
    every = definitions(place, _evaluated(place, {name, name.partition(".")[2]}))
    bare = name if any(d.name == name for d in every) else name.partition(".")[2]
    if found := [d for d in every if d.name == bare]:
        return found
    meant = nearest(name, [d.name for d in every])
    hint = f'did you mean "{meant}"?' if meant else "unlearnkit metrics list"
    raise NotFound(f'no metric "{name}"', hint=hint, code="plugin")


def _used(place: Workplace) -> Iterator[Used]:
    """What installed suites use, and logs that are imported."""
    for name in place.plugins.offers(SUITE):
        yield from _of_suite(place.suite(name), name)
    for use in ROUGES:
        yield "metric", use, "import", None


def _evaluated(place: Workplace, names: Container[str]) -> Iterator[Used]:
    """What evaluations in the store have under some names; a store that cannot be read has none."""
    try:
        runs = [run for kind in ("eval", "attack") for run in place.reading().runs(kind=kind)]
    except UnlearnkitError:
        return
    suites = {json.dumps(kept): Suite.of(kept) for run in runs if (kept := run.config.get("suite"))}
    for suite in suites.values():
        yield from (used for used in _of_suite(suite, suite.name) if used[1].name in names)


def _of_suite(suite: Suite, name: str) -> Iterator[Used]:
    for split, of in suite.splits.items():
        for use in of.metrics:
            yield "metric", use, name, split
    for use in suite.aggregates:
        yield "aggregate", use, name, None


def _instance(place: Workplace, kind: Kind, use: Use) -> Any:
    """The plugin as it is used; where an option must be given and is not, as its class alone has it."""
    plugin = place.plugins.resolve(kind, use.plugin)
    if any(
        option.required and option.name not in use.options
        for option in place.plugins.describe(kind, use.plugin).options
    ):
        return object.__new__(plugin)
    return place.plugins.build(kind, use.plugin, use.options)


def _definition(place: Workplace, kind: Kind, use: Use, used: Sequence[Used]) -> Definition:
    plugin = _instance(place, kind, use)
    suites: dict[str, list[str]] = {}
    for k, other, suite, split in used:
        if (k, other) == (kind, use):
            splits_ = suites.setdefault(suite, [])
            splits_ += [] if split is None or split in splits_ else [split]
    splits = dict.fromkeys(["forget", "retain", *(split for some in suites.values() for split in some)])
    return Definition(
        name=use.name,
        kind=kind,
        use=use,
        about=place.plugins.describe(kind, use.plugin),
        doc="\n\n".join(filter(None, [recorded_as(use), inspect.getdoc(type(plugin))])),
        better={split: plugin.better(split) for split in splits} if kind == "metric" else {"": plugin.direction},
        unit=_unit(plugin),
        needs=tuple(getattr(plugin, "needs", ())),
        needs_reference=bool(getattr(plugin, "needs_reference", False)),
        suites=suites,
    )
