"""Logs of TOFU's own code: `eval_log_aggregated.json`, and the same numbers under plainer names.

Each split has per-sample figures by name, as {row: value} or as a list. Source: locuslab/tofu, evaluate_util.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unlearnkit.runs.imported.files import Document, Malformed, Value, index, mapping, number, sequence, text
from unlearnkit.runs.imported.log import ROUGES, Log, Losses, Row, question_of

SPLITS = {
    "eval_log_forget.json": "forget",
    "eval_log.json": "retain",
    "eval_real_author_wo_options.json": "real_authors",
    "eval_real_world_wo_options.json": "world_facts",
}
"""Its names for what is evaluated, and ours."""
NAMES = {**SPLITS, **{name: name for name in SPLITS.values()}}

LOSS, PARAPHRASE, WRONG = "avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss"
VALUES = {"rougeL_recall": "rouge", "rouge1_recall": "rouge1"}


def log(document: Document) -> Log | None:
    """A file as such a log; None where it is something else."""
    content = document.content
    if not (isinstance(content, dict) and content and content.keys() <= NAMES.keys()):
        return None
    if not all(isinstance(of, dict) and LOSS in of for of in content.values()):
        return None
    if len({NAMES[name] for name in content}) < len(content):
        raise Malformed("one split stands there under two names")
    return Log("tofu", "tofu", {NAMES[name]: list(_rows(name, of)) for name, of in content.items()}, ROUGES)


def _rows(split: str, of: Mapping[str, Any]) -> Iterator[Row]:
    columns = {name: _column(of[name], f"{split}: {name}") for name in (LOSS, PARAPHRASE, WRONG, *VALUES) if name in of}
    said = {row: _texts(value, f"{split}: row {row}") for row, value in _said(split, of).items()}
    rows = columns[LOSS].keys()
    for name, column in (*columns.items(), ("the generated texts", said)):
        if column and column.keys() != rows:
            raise Malformed(f"{split}: {name} has {len(column)} rows, or others than the {len(rows)} of {LOSS}")
    for row in sorted(rows):
        at = f"{split}: row {row}"
        prompt, generation, answer = said.get(row, (None, None, None))
        one = {name: number(columns[name][row], f"{at}: {name}") for name in (LOSS, PARAPHRASE) if name in columns}
        wrong = columns[WRONG][row] if WRONG in columns else []
        values: dict[str, Value] = {
            ours: number(columns[name][row], f"{at}: {name}") for name, ours in VALUES.items() if name in columns
        }
        losses = Losses(
            answer=one[LOSS],
            paraphrases=(one[PARAPHRASE],) if PARAPHRASE in one else (),
            wrong=tuple(number(v, f"{at}: {WRONG}") for v in (wrong if isinstance(wrong, list) else [wrong])),
        )
        yield Row(row, prompt, answer, generation, values, losses)


def _column(of: Any, where: str) -> dict[int, Any]:
    """A figure of each row: a list, or an object whose keys are the rows."""
    if isinstance(of, list):
        return dict(enumerate(of))
    return _unique({index(key, where): value for key, value in mapping(of, where).items()}, len(of), where)


def _unique(found: dict[int, Any], expected: int, where: str) -> dict[int, Any]:
    if len(found) < expected:  # "1" and "01"
        raise Malformed(f"{where} has a row twice")
    return found


def _said(split: str, of: Mapping[str, Any]) -> dict[int, Any]:
    for name in ("generations", "generated_text"):
        if name in of:
            return _column(of[name], f"{split}: {name}")
    return {}


def _texts(of: Any, where: str) -> tuple[str, str, str]:
    """Prompt, generation and right answer."""
    if isinstance(of, dict):
        parts = [of.get(name) for name in ("question", "generated", "answer")]
    else:
        parts = sequence(of, where)
    if len(parts) != 3:
        raise Malformed(f"{where} has {len(parts)} texts, not 3: prompt, generation and answer")
    prompt, generation, answer = (text(part, where) for part in parts)
    return question_of(prompt), generation, answer.strip()
