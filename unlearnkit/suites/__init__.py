"""Which metrics are read on which split: a benchmark as a file.

    about: what it measures
    source: arXiv 2401.06121
    max_new_tokens: 200
    splits:
      forget:
        about: what was to be forgotten
        metrics: [probability, {rouge_f1: {plugin: rouge, score: f1}}]
    aggregates: [model_utility]

A metric or an aggregate stands there by its plugin's name, or under a name of its own with plugin and options. What is
to be forgotten is in splits whose names begin with "forget".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from unlearnkit.data.layout import COLUMN, Layout
from unlearnkit.errors import BadInput

NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]*")
LONGEST = 100_000
"""Tokens of a generation, at most."""


@dataclass(frozen=True)
class Use:
    """A metric or an aggregate as a suite uses it: the name that its values stand under, its plugin and options."""

    name: str
    plugin: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """One set of an evaluation. What is None or empty is as the evaluation says for all sets."""

    metrics: tuple[Use, ...]
    about: str = ""
    max_new_tokens: int | None = None
    """Longest generation here."""
    template: str | None = None
    """How its samples are put to a model, in the words of `--template`; "verbatim" is prompt and answer with nothing
    between."""
    before: str | None = None
    """A split whose first samples stand before each of this one's where a metric needs "prefixed"."""
    examples: str | None = None
    """A split whose first samples, where there are data for it, stand before each prompt of this one, with answers."""
    shots: int = 0
    """How many samples of `before` or `examples`."""
    rows: Layout | None = None
    """How the benchmark's own rows become samples."""
    longest_answer: int | None = None
    """Tokens after which answers are cut, by the model's own tokenizer."""
    stop: tuple[str, ...] = ()
    """What a generation ends before."""
    others: Literal["given", "made"] = "given"
    """"made": paraphrases and wrong answers are made by rule where samples have none."""
    hub: str | None = None
    """Where the data are on the hub, for those who have the network: `owner/name:config[split]`."""


@dataclass(frozen=True)
class Suite:
    """What one evaluation consists of.

    A split that the user has no data for is left out; the aggregates say what they then lack."""

    name: str
    splits: Mapping[str, Split]
    aggregates: tuple[Use, ...] = ()
    max_new_tokens: int = 200
    """Longest generation, where a metric needs one; decoding is greedy."""
    about: str = ""
    source: str = ""

    def json(self) -> dict[str, Any]:
        """The suite as data, which `Suite.of` reads back."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Suite:
        """A suite from what `json` made of it."""
        splits = {name: _split(of) for name, of in data["splits"].items()}
        return cls(**{**data, "splits": splits, "aggregates": tuple(Use(**use) for use in data["aggregates"])})

    def only(self, *splits: str) -> Suite:
        """The suite with some of its splits."""
        return replace(self, splits={name: of for name, of in self.splits.items() if name in splits})

    def beside(self, other: Suite) -> Suite:
        """Both suites in one: each metric once, the longer generation where both need one.

        Raises:
            BadInput: code "suite", where one name means two things.
        """
        splits = dict(self.splits)
        for name, theirs in other.splits.items():
            mine = splits.get(name)
            splits[name] = theirs if mine is None else _both(name, mine, theirs)
        return replace(
            self,
            name=f"{self.name}+{other.name}",
            splits=splits,
            aggregates=_once("aggregates", self.aggregates, other.aggregates),
            max_new_tokens=max(self.max_new_tokens, other.max_new_tokens),
        )


def read(path: Path, name: str) -> Suite:
    """A suite from its file.

    Raises:
        BadInput: code "suite", where the file is not one, with what is wrong.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(_File).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", code="suite") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not YAML: {' '.join(str(error).split())}", code="suite") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(f"{path} is no suite: {where}: {first['msg']}", code="suite") from error
    suite = found.suite(name)
    for where, wrong in _flaws(suite):
        raise BadInput(f"{path} is no suite: {where}: {wrong}", code="suite")
    return suite


def _flaws(suite: Suite) -> Iterator[tuple[str, str]]:
    """What in a suite could not be done: where, and what is wrong."""
    if not 1 <= suite.max_new_tokens <= LONGEST:
        yield "max_new_tokens", f"not 1 … {LONGEST}"
    yield from _misnamed("aggregates", [use.name for use in suite.aggregates])
    yield from _misnamed("splits", list(suite.splits))
    for name, of in suite.splits.items():
        where = f"splits.{name}"
        yield from _misnamed(f"{where}.metrics", [use.name for use in of.metrics])
        for key, number, least in (
            ("max_new_tokens", of.max_new_tokens, 1), ("longest_answer", of.longest_answer, 1), ("shots", of.shots, 0),
        ):  # fmt: skip
            if number is not None and not least <= number <= LONGEST:
                yield f"{where}.{key}", f"not {least} … {LONGEST}"
        for key, other in (("before", of.before), ("examples", of.examples)):
            if other is not None and other not in suite.splits:
                yield f"{where}.{key}", f"there is no split {other}"
        if "" in of.stop:
            yield f"{where}.stop", "an empty text ends everything"
        if of.rows is not None and (unknown := sorted(set(COLUMN.findall(of.rows.shot)) - {"prompt", "answer"})):
            yield f"{where}.rows.shot", f"has {{{unknown[0]}}}, not {{prompt}} or {{answer}} alone"
        if of.rows is not None and of.rows.choices is not None and not COLUMN.fullmatch(of.rows.answer):
            yield f"{where}.rows.answer", "with choices it is one {column}, which says the right one"


def _misnamed(where: str, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if not NAME.fullmatch(name):
            yield where, f'"{name}" is no name of a-z, 0-9, . _ + -'
        if names.count(name) > 1:
            yield where, f'"{name}" stands there twice'


def _split(data: Mapping[str, Any]) -> Split:
    rows = data.get("rows")
    metrics = tuple(Use(**use) for use in data["metrics"])
    more = {"rows": None if rows is None else Layout(**rows), "stop": tuple(data.get("stop", ()))}
    return Split(**{**data, **more, "metrics": metrics})


def _both(name: str, mine: Split, theirs: Split) -> Split:
    if _asked(mine) != _asked(theirs) or (mine.before and theirs.before and _behind(mine) != _behind(theirs)):
        raise BadInput(
            f"the suites put split {name} to a model in two ways", hint="evaluate them one by one", code="suite"
        )
    longest = max((n for n in (mine.max_new_tokens, theirs.max_new_tokens) if n is not None), default=None)
    return replace(
        mine,
        metrics=_once(f"split {name}", mine.metrics, theirs.metrics),
        before=mine.before or theirs.before,
        shots=mine.shots or theirs.shots,
        max_new_tokens=longest,
        others="made" if "made" in (mine.others, theirs.others) else "given",
        hub=mine.hub or theirs.hub,
    )


def _asked(of: Split) -> list[Any]:
    """How the samples of a split become what a model is asked, and what is kept of its answer."""
    return [of.template, of.examples, of.shots if of.examples else 0, of.rows, of.longest_answer, of.stop]


def _behind(of: Split) -> list[Any]:
    """What stands before samples where a metric wants that, which changes nothing for the others."""
    return [of.before, of.shots]


def _once(where: str, mine: tuple[Use, ...], theirs: tuple[Use, ...]) -> tuple[Use, ...]:
    found = {use.name: use for use in mine}
    for use in theirs:
        if found.setdefault(use.name, use) != use:
            raise BadInput(
                f'"{use.name}" means two things in {where}', hint="evaluate the suites one by one", code="suite"
            )
    return tuple(found.values())


# ------------------------------------------------------------------------------------------------------ what files hold


def _uses(given: tuple[str | Mapping[str, Mapping[str, Any]], ...]) -> tuple[Use, ...]:
    uses = []
    for one in given:
        if isinstance(one, str):
            uses.append(Use(one, one))
        else:
            for name, options in one.items():
                rest = dict(options)
                uses.append(Use(name, str(rest.pop("plugin", name)), rest))
    return tuple(uses)


@dataclass(frozen=True)
class _FileSplit:
    metrics: tuple[str | dict[str, dict[str, Any]], ...]
    about: str = ""
    max_new_tokens: int | None = None
    template: str | None = None
    before: str | None = None
    examples: str | None = None
    shots: int = 0
    rows: Layout | None = None
    longest_answer: int | None = None
    stop: tuple[str, ...] = ()
    others: Literal["given", "made"] = "given"
    hub: str | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's own name for it


@dataclass(frozen=True)
class _File:
    splits: dict[str, _FileSplit]
    aggregates: tuple[str | dict[str, dict[str, Any]], ...] = ()
    max_new_tokens: int = 200
    about: str = ""
    source: str = ""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    def suite(self, name: str) -> Suite:
        splits = {split: Split(**{**vars(of), "metrics": _uses(of.metrics)}) for split, of in self.splits.items()}
        return Suite(name, splits, _uses(self.aggregates), self.max_new_tokens, self.about, self.source)
