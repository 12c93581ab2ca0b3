"""Logs of OpenUnlearning: `TOFU_EVAL.json`, `MUSE_EVAL.json` and their like.

Each metric stands under a name that says split and kind ("ra_Q_A_Prob") as `agg_value` and `value_by_index`: {row:
figures}. An attack on membership ("mia_loss") has two such parts, `forget` and `holdout`, whose own `agg_value` is the
mean score, and as `agg_value` the area under the ROC curve. Source: locuslab/open-unlearning, src/evals/base.py and
src/evals/metrics/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unlearnkit.contracts import Undefined
from unlearnkit.runs.imported.files import Document, Malformed, Value, index, mapping, number, text
from unlearnkit.runs.imported.log import ROUGES, Log, Losses, Row, question_of
from unlearnkit.suites import Use

BY_INDEX, FIGURE = "value_by_index", "agg_value"
SPLITS = {"forget": "forget", "retain": "retain", "ra": "real_authors", "wf": "world_facts"}
MUSE_SPLITS = {
    "forget_knowmem": "forget_knowledge",
    "retain_knowmem": "retain_knowledge",
    "forget_verbmem": "forget_verbatim",
}
MEMORISED = MUSE_SPLITS["forget_verbmem"]
"""What memorisation is read on there: texts of their own, others than `forget`, which the attacks read."""
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
    """How a kind of metric's row is read, and which figure of ours its own is, if any; `turned` where its sign is the
    other one."""

    take: Take
    figure: str | None = None
    turned: bool = False


@dataclass(frozen=True)
class _Part:
    """Rows of one kind and one split, with the figure that the log gives of them."""

    split: str
    kind: _Kind
    where: str
    of: Mapping[str, Any]


def log(document: Document) -> Log | None:
    """A file as such a log; None where it is something else."""
    content = document.content
    if not isinstance(content, dict) or not any(map(_has_rows, content.values())):
        return None
    muse = document.path.stem == "MUSE_EVAL" or any(map(_MUSE.fullmatch, content))
    drafts: dict[str, dict[int, _Draft]] = {}
    claims = _claimed(content)
    for part in _parts(content, muse):
        _take(drafts.setdefault(part.split, {}), part)
        if part.kind.figure is not None and part.of.get(FIGURE) is not None:
            figure = number(part.of[FIGURE], f"{part.where}: {FIGURE}")
            claims[f"{part.split}.{part.kind.figure}"] = _turned(figure) if part.kind.turned else figure
    if not drafts:
        raise Malformed("none of its metrics has a counterpart here")
    splits = {split: [draft.row(at) for at, draft in sorted(rows.items())] for split, rows in drafts.items()}
    uses = (*OWN, *ROUGES, *(attack.use for attack in ATTACKS.values()))
    aggregates = [use for name, use in AGGREGATES.items() if name in content]
    left = [name for name, of in content.items() if isinstance(of, dict) and not _has_counterpart(name, of, muse)]
    return Log("openunlearning", "muse" if muse else "tofu", splits, uses, aggregates, claims, left)


def _has_counterpart(name: str, of: Mapping[str, Any], muse: bool) -> bool:
    """Whether a metric's rows are taken, or its number is computed here."""
    return name in OVER_ROWS or (BY_INDEX in of and _meant(name, muse) is not None)


def _has_rows(of: Any) -> bool:
    """Whether a metric, or a side of it, has rows."""
    return isinstance(of, dict) and (BY_INDEX in of or bool(_sides(of)))


def _sides(of: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What an attack says of those to be forgotten and of the others, where it has rows of them."""
    return {side: of[side] for side in SIDES if isinstance(of.get(side), dict) and BY_INDEX in of[side]}


def _parts(content: Mapping[str, Any], muse: bool) -> Iterator[_Part]:
    """All that has rows and a counterpart here."""
    for name, of in content.items():
        if not _has_rows(of):
            continue
        if name in ATTACKS:
            kind = ATTACKS[name].kind
            yield from (_Part(side, kind, f"{name}: {side}", its) for side, its in _sides(of).items())
        elif BY_INDEX in of and (meant := _meant(name, muse)) is not None:
            yield _Part(*meant, name, of)


def _meant(name: str, muse: bool) -> tuple[str, _Kind] | None:
    """Split and kind of a metric, by its name; None for one that has no counterpart."""
    if found := _MUSE.fullmatch(name):
        return MUSE_SPLITS[found["split"]], _Kind(_rouge, "rouge_f1")
    tofu = _TOFU.fullmatch(name)
    if tofu is None or tofu["kind"] not in KINDS:
        return None
    unnamed = MEMORISED if muse else "forget"
    return SPLITS[tofu["split"]] if tofu["split"] else unnamed, KINDS[tofu["kind"]]


def _claimed(content: Mapping[str, Any]) -> dict[str, Value]:
    """What the log gives for aggregates, by our names."""
    return {
        use.name: number(of[FIGURE], f"{name}: {FIGURE}")
        for name, use in AGGREGATES.items()
        if isinstance(of := content.get(name), dict) and of.get(FIGURE) is not None
    }


def _take(drafts: dict[int, _Draft], part: _Part) -> None:
    """Take in what a metric says of its rows; null is a row that it could not measure."""
    name, rows = part.where, mapping(part.of[BY_INDEX], f"{part.where}: {BY_INDEX}")
    places = [index(key, name) for key in rows]
    if len(set(places)) < len(places):  # "1" and "01"
        raise Malformed(f"{name} has a row twice")
    for at, of in zip(places, rows.values(), strict=True):
        where = f"{name}: row {at}"
        part.kind.take(drafts.setdefault(at, _Draft()), {} if of is None else mapping(of, where), where)


def _loss(of: str) -> Take:
    """Mean NLLs of one text a sample, or of several."""

    def take(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
        if not values:
            return
        found = values.get("avg_loss")
        several = found if isinstance(found, list) else [found]
        draft.losses[of] = tuple(number(value, f"{where}: avg_loss") for value in several)

    return take


def _score(name: str, ours: str, turned: bool = False) -> Take:
    """A number under one name, as a metric of ours; null or nothing where it could not be measured."""

    def take(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
        found = values.get(name)
        value = Undefined("unrecorded") if found is None else number(found, f"{where}: {name}")
        draft.values[ours] = _turned(value) if turned else value

    return take


def _turned(value: Value) -> Value:
    """With the other sign; 0 has none."""
    return value if isinstance(value, Undefined) else 0.0 - value


def _rouge(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
    for name, ours in (("rougeL_recall", "rouge"), ("rouge1_recall", "rouge1"), ("rougeL_f1", "rouge_f1")):
        if name in values:
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


@dataclass(frozen=True)
class _Attack:
    """A membership attack: the metric that its scores are of here. A member's are low there in all attacks; `turned`
    where they are high here."""

    use: Use
    turned: bool = False

    @property
    def kind(self) -> _Kind:
        return _Kind(_score("score", self.use.name, self.turned), self.use.name, self.turned)


_LIKELIEST = {"k": 0.4, "tail": 1}
"""Which tokens count: k as in its configurations, as a log does not say it; the last label token does not."""
_OTHER = {"by": "OpenUnlearning", "away": "higher"}
"""Scores of its own definition: the loss less that of a model of its choice, and the mean over weight tensors of each
one's gradient norm."""

ATTACKS = {
    "mia_loss": _Attack(Use("loss", "loss")),
    "mia_zlib": _Attack(Use("zlib", "zlib", {"nll": "mean"})),
    "mia_min_k": _Attack(Use("min_k", "min_k", _LIKELIEST), turned=True),
    "mia_min_k_plus_plus": _Attack(Use("min_k_plus", "min_k_plus", _LIKELIEST), turned=True),
    "mia_reference": _Attack(Use("loss_difference", "recorded", _OTHER)),
    "mia_gradnorm": _Attack(Use("grad_norm_mean", "recorded", _OTHER)),
}
SIDES = ("forget", "holdout")

AGGREGATES = {
    name: Use(f"auc_{attack.use.name}", "auc", {"score": attack.use.name}) for name, attack in ATTACKS.items()
} | {"privleak": Use("privacy_leakage", "privacy_leakage", {"score": "min_k"})}
"""Over both sides, computed here from the rows or said to be missing. An area is high there too where the forget set
is told from the holdout as what was trained on, and its leakage is MUSE's as here."""

OVER_ROWS = {*AGGREGATES, "forget_quality", "model_utility"}
"""Its numbers over samples that stand here too, or are said to be missing."""
