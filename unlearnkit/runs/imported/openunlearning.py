"""Logs of OpenUnlearning: `TOFU_EVAL.json`, `MUSE_EVAL.json` and their like.

Each metric stands under a name that says split and kind ("ra_Q_A_Prob") as `agg_value` and `value_by_index`: {row:
figures}. Source: locuslab/open-unlearning, src/evals/base.py and src/evals/metrics/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unlearnkit.runs.imported.files import Document, Malformed, Value, index, mapping, number, text
from unlearnkit.runs.imported.log import ROUGES, Log, Losses, Row, question_of
from unlearnkit.suites import Use

BY_INDEX = "value_by_index"
SPLITS = {"forget": "forget", "retain": "retain", "ra": "real_authors", "wf": "world_facts"}
MUSE_SPLITS = {
    "forget_knowmem": "forget_knowledge",
    "retain_knowmem": "retain_knowledge",
    "forget_verbmem": "forget_verbatim",
}
OWN = (
    Use("exact_memorization", "exact_memorization", {"tail": 1}),
    Use("extraction_strength", "recorded", {"by": "OpenUnlearning"}),
)
"""Computed otherwise there: both leave the last label token out, and its extraction strength is never 0."""

_TOFU = re.compile(rf"(?:(?P<split>{'|'.join(SPLITS)})_)?(?P<kind>\w+)")
_MUSE = re.compile(rf"(?P<split>{'|'.join(MUSE_SPLITS)})_ROUGE")


@dataclass
class _Draft:
    """A row on its way: each metric adds what it knows of it."""

    texts: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    losses: dict[str, tuple[Value, ...]] = field(default_factory=dict)

    def row(self, at: int) -> Row:
        answer = self.losses.get("answer", ())
        return Row(
            index=at,
            prompt=question_of(self.texts["input"]) if "input" in self.texts else None,
            answer=self.texts.get("ground_truth"),
            generation=self.texts.get("generation"),
            values=self.values,
            losses=Losses(
                answer[0] if answer else None, self.losses.get("paraphrases", ()), self.losses.get("wrong", ())
            ),
        )


Take = Callable[[_Draft, Mapping[str, Any], str], None]


@dataclass(frozen=True)
class _Kind:
    """How a kind of metric's row is read, and which figure of ours the mean over its rows is, if any."""

    take: Take
    figure: str | None = None


def log(document: Document) -> Log | None:
    """A file as such a log; None where it is something else."""
    content = document.content
    if not isinstance(content, dict) or not any(isinstance(of, dict) and BY_INDEX in of for of in content.values()):
        return None
    drafts: dict[str, dict[int, _Draft]] = {}
    claims: dict[str, Value] = {}
    for name, of in content.items():
        if not (isinstance(of, dict) and BY_INDEX in of) or (meant := _meant(name)) is None:
            continue
        split, kind = meant
        _take(drafts.setdefault(split, {}), kind, name, mapping(of[BY_INDEX], f"{name}: {BY_INDEX}"))
        if kind.figure is not None and of.get("agg_value") is not None:
            claims[f"{split}.{kind.figure}"] = number(of["agg_value"], f"{name}: agg_value")
    if not drafts:
        raise Malformed("none of its metrics has a counterpart here")
    splits = {split: [draft.row(at) for at, draft in sorted(rows.items())] for split, rows in drafts.items()}
    suite = "muse" if any(map(_MUSE.fullmatch, content)) else "tofu"
    return Log("openunlearning", suite, splits, (*OWN, *ROUGES), claims)


def _meant(name: str) -> tuple[str, _Kind] | None:
    """Split and kind of a metric, by its name; None for one that has no counterpart."""
    if muse := _MUSE.fullmatch(name):
        return MUSE_SPLITS[muse["split"]], _Kind(_rouge, "rouge_f1")
    tofu = _TOFU.fullmatch(name)
    if tofu is None or tofu["kind"] not in KINDS:
        return None
    return SPLITS[tofu["split"] or "forget"], KINDS[tofu["kind"]]


def _take(drafts: dict[int, _Draft], kind: _Kind, name: str, rows: Mapping[str, Any]) -> None:
    """Take in what a metric says of its rows; null is a row that it could not measure."""
    places = [index(key, name) for key in rows]
    if len(set(places)) < len(places):  # "1" and "01"
        raise Malformed(f"{name} has a row twice")
    for at, of in zip(places, rows.values(), strict=True):
        if of is not None:
            where = f"{name}: row {at}"
            kind.take(drafts.setdefault(at, _Draft()), mapping(of, where), where)


def _loss(of: str) -> Take:
    """Mean NLLs of one text a sample, or of several."""

    def take(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
        found = values.get("avg_loss")
        several = found if isinstance(found, list) else [found]
        draft.losses[of] = tuple(number(value, f"{where}: avg_loss") for value in several)

    return take


def _score(name: str, ours: str) -> Take:
    """A number under one name, as a metric of ours; null where it could not be measured."""

    def take(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
        if values.get(name) is not None:
            draft.values[ours] = number(values[name], f"{where}: {name}")

    return take


def _rouge(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
    for name, ours in (("rougeL_recall", "rouge"), ("rouge1_recall", "rouge1"), ("rougeL_f1", "rouge_f1")):
        _score(name, ours)(draft, values, where)
    for name in ("input", "ground_truth", "generation"):
        if name in values:
            draft.texts[name] = text(values[name], f"{where}: {name}")


KINDS = {
    "Q_A_Prob": _Kind(_loss("answer"), "probability"),
    "Q_A_PARA_Prob": _Kind(_loss("paraphrases")),
    "Q_A_PERT_Prob": _Kind(_loss("wrong")),
    "Q_A_ROUGE": _Kind(_rouge, "rouge"),
    "Q_A_Prob_normalised": _Kind(_score("prob", "probability_options"), "probability_options"),
    "Truth_Ratio": _Kind(_score("score", "truth_ratio"), "truth_ratio"),
    "exact_memorization": _Kind(_score("score", "exact_memorization"), "exact_memorization"),
    "extraction_strength": _Kind(_score("score", "extraction_strength"), "extraction_strength"),
}
