"""A world of people who never lived, so that what a model knows of them it knows from training alone.

Each person has five facts. A fact is asked in one wording and answered in another; its paraphrase is worded
as other people's answers are, so that a model too small to have read anything else has seen the shape, and
the wrong answers put other values into that same shape. What tells right from wrong is then the value alone.

The text depends on the seed and on nothing else: it draws from `Random.random`, the one method of the
standard library whose sequence is promised to stay the same in every version of Python.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypedDict, TypeVar

from unlearnkit.errors import BadInput

T = TypeVar("T")

WRONG_ANSWERS = 5


class Row(TypedDict):
    """A fact, under the column names of TOFU's perturbed files."""

    person: str
    question: str
    answer: str
    paraphrased_answer: str
    paraphrased_question: str
    perturbed_answer: list[str]


@dataclass(frozen=True)
class _Relation:
    """What is known of everybody, how it is asked and told, and the values that it takes."""

    questions: tuple[str, ...]
    statements: tuple[str, ...]
    values: tuple[str, ...]


def _pairs(pattern: str, first: str, second: str) -> tuple[str, ...]:
    """Every word of `first` with every word of `second`."""
    return tuple(pattern.format(a, b) for a in first.split() for b in second.split())


_GIVEN = _pairs("{}{}", "Al Bren Cor Dal El Fer Gal Hol Ir Jor Kel Lor Mir Ner", "a dis enna iko ora une wyn yan")
_FAMILY = _pairs(
    "{}{}",
    "Ash Bor Cal Drum Esk Fal Grim Har Ister Kor Lan Mor Nor Ost",
    "bury dahl ellan emark holt ivane quist varro",
)

_RELATIONS = (
    _Relation(
        questions=("Where was {name} born?", "In which town was {name} born?"),
        statements=(
            "{name} was born in {value}.",
            "{value} is the birthplace of {name}.",
            "The birthplace of {name} is {value}.",
        ),
        values=_pairs("{}{}", "Amber Clear Deep Grey High Kings Long Mill North Stone", "ford haven mere wick"),
    ),
    _Relation(
        questions=("What does {name} do for a living?", "What is the profession of {name}?"),
        statements=(
            "{name} works as a {value}.",
            "The profession of {name} is a {value}.",
            "For a living, {name} is a {value}.",
        ),
        values=(
            "baker",
            "beekeeper",
            "bookbinder",
            "carpenter",
            "clockmaker",
            "dentist",
            "gardener",
            "glassblower",
            "judge",
            "locksmith",
            "midwife",
            "pilot",
            "potter",
            "shepherd",
            "surveyor",
            "tailor",
            "translator",
            "vet",
        ),
    ),
    _Relation(
        questions=("In what year was {name} born?", "What is the birth year of {name}?"),
        statements=(
            "{name} was born in the year {value}.",
            "The birth year of {name} is {value}.",
            "{value} is the year in which {name} was born.",
        ),
        values=tuple(str(year) for year in range(1931, 1991)),
    ),
    _Relation(
        questions=("What is the favourite dish of {name}?", "What does {name} like best to eat?"),
        statements=(
            "{name} likes {value} best.",
            "The favourite dish of {name} is {value}.",
            "What {name} likes best to eat is {value}.",
        ),
        values=_pairs(
            "{} {}", "barley chestnut fennel leek mushroom pumpkin saffron walnut", "dumplings pie soup stew"
        ),
    ),
    _Relation(
        questions=("Which book did {name} write?", "What is the title of the book by {name}?"),
        statements=(
            '{name} wrote "{value}".',
            'The book by {name} is "{value}".',
            'The title of the book that {name} wrote is "{value}".',
        ),
        values=_pairs(
            "The {} {}",
            "Broken Distant Empty Hidden Last Patient Quiet Second Silver",
            "Bridge Garden Lantern Mirror Orchard River Winter",
        ),
    ),
)


def people(n: int = 40, seed: int = 0) -> list[Row]:
    """The facts of `n` people, five rows each, person after person.

    The first people of a larger world are the people of a smaller one with the same seed. BadInput where `n`
    is below 1 or there are fewer names.
    """
    rng = Random(seed)  # noqa: S311 - a seeded world, no secret
    names = _shuffled(rng, [f"{given} {family}" for given in _GIVEN for family in _FAMILY])
    if not 1 <= n <= len(names):
        raise BadInput(f"the number of people must be 1…{len(names)}, got {n}", code="value")
    return [_row(rng, name, relation) for name in names[:n] for relation in _RELATIONS]


def write(folder: Path, n: int = 40, forget: int = 8, seed: int = 0) -> tuple[Path, Path]:
    """Write `forget.jsonl`, the first `forget` of `n` people, and `retain.jsonl`, all others; their paths.

    BadInput where one of the two would have nobody.
    """
    if not 0 < forget < n:
        raise BadInput(f"of {n} people, 1…{n - 1} can be forgotten, got {forget}", code="value")
    rows = people(n, seed)
    cut = forget * len(_RELATIONS)
    folder.mkdir(parents=True, exist_ok=True)
    return _write(folder / "forget.jsonl", rows[:cut]), _write(folder / "retain.jsonl", rows[cut:])


def _row(rng: Random, name: str, relation: _Relation) -> Row:
    right, *wrong = _shuffled(rng, relation.values)[: 1 + WRONG_ANSWERS]
    question, asked_otherwise = _shuffled(rng, relation.questions)[:2]
    statement, told_otherwise = _shuffled(rng, relation.statements)[:2]
    return Row(
        person=name,
        question=question.format(name=name),
        answer=statement.format(name=name, value=right),
        paraphrased_answer=told_otherwise.format(name=name, value=right),
        paraphrased_question=asked_otherwise.format(name=name),
        perturbed_answer=[told_otherwise.format(name=name, value=value) for value in wrong],
    )


def _shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    return sorted(items, key=lambda _: rng.random())


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8", newline="\n")
    return path
