"""What each number of a page means, in the words of the plugin that defines it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from unlearnkit.report.html.numbers import WORDS, anchor
from unlearnkit.runs.definitions import definitions

if TYPE_CHECKING:
    from unlearnkit.report.subject import Subject
    from unlearnkit.runs.definitions import Definition


@dataclass(frozen=True)
class Entry:
    """A number's definition, or several where suites differ: `texts` in paragraphs, `facts` in a line each."""

    anchor: str
    name: str
    texts: list[str]
    facts: list[str]


def glossary(about: Subject) -> list[Entry]:
    """The numbers that the page shows, by name. One whose plugin is not installed any more says so."""
    shown = {name.rpartition(".")[2] for e in about.evaluated for name in e.values}
    shown |= {t.metric for t in about.found.thirds}
    shown |= {o.metric for attack in about.found.attacks for o in attack.outcomes}
    there = sorted((d for d in definitions(about.place) if d.name in shown), key=lambda d: d.name)
    known = {name: _entry(name, list(of)) for name, of in groupby(there, key=lambda d: d.name)}
    gone = "Its definition is not installed here: the plugin that measured it is gone."
    return [known.get(name) or Entry(anchor(name), name, [gone], []) for name in sorted(shown)]


def _entry(name: str, found: list[Definition]) -> Entry:
    texts = list(dict.fromkeys(part for d in found for part in d.doc.split("\n\n") if part.strip()))
    facts = []
    for d in found:
        told = [f"unit: {d.unit}" if d.unit else "", f"source: {_source(d.about.source)}" if d.about.source else ""]
        told += [f"{key} = {value}" for key, value in d.use.options.items()]
        told += ["needs a reference" if d.needs_reference else "", _better(d)]
        facts.append(" · ".join(filter(None, told)))
    return Entry(anchor(name), name, texts, list(dict.fromkeys(facts)))


def _source(source: str) -> str:
    return f"arXiv {source}" if re.fullmatch(r"\d{4}\.\d{5}", source) else source


def _better(d: Definition) -> str:
    """Which way is better after unlearning, by split where they differ."""
    words = {split: WORDS.get(direction, "") for split, direction in d.better.items()}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    of = {way: [split for split, told in words.items() if told == way] for way in dict.fromkeys(words.values()) if way}
    return "; ".join(f"{way} on {', '.join(splits)}" for way, splits in of.items())
