"""Sample logs of lm-evaluation-harness: `samples_TASK_DATE.jsonl`, a row for each document and filter.

Each task is a split, and each number of its rows a metric as the harness defines it. Source: lm_eval/evaluator.py,
`--log_samples`.
"""

from __future__ import annotations

import re
from typing import Any

from unlearnkit.runs.imported.files import Document, Malformed, Value, index, mapping, number, text
from unlearnkit.runs.imported.log import Log, Row
from unlearnkit.suites import Use

ABOUT = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", "task_name", "schema_version",
}  # fmt: skip
"""Keys that are no metric."""
_DATED = re.compile(r"samples_(?P<task>.+?)(?:_\d{4}-\d{2}-\d{2}T[\d.:-]+)?", re.ASCII)


def log(document: Document) -> Log | None:
    """A file as such a log; None where it is something else."""
    rows = document.content if isinstance(document.content, list) else [document.content]
    if not rows or not all(isinstance(row, dict) and {"doc_id", "doc", "target"} <= row.keys() for row in rows):
        return None
    found: dict[int, Row] = {}
    for number_, row in enumerate(rows, 1):
        at = index(row["doc_id"], f"row {number_}: doc_id")
        known = found.get(at) or _row(at, row)
        values = _values(row, f"row {number_}")
        if twice := known.values.keys() & values.keys():
            raise Malformed(f"row {number_}: document {at} has {min(twice)} twice")
        found[at] = Row(at, known.prompt, known.answer, known.generation, {**known.values, **values})
    names = dict.fromkeys(name for row in found.values() for name in row.values)
    if not names:
        raise Malformed("its rows have no number")
    uses = tuple(Use(name, "recorded", {"by": "lm-evaluation-harness"}) for name in names)
    return Log("lm-eval", "lm-eval", {_task(document): [found[at] for at in sorted(found)]}, uses)


def _task(document: Document) -> str:
    """A split's name from the file's: the rows do not say it."""
    match = _DATED.fullmatch(document.path.stem)
    return plain(match["task"] if match else document.path.stem)


def plain(name: str) -> str:
    """A name that a split or a metric may have."""
    return re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-") or "task"


def _row(at: int, row: dict[str, Any]) -> Row:
    """Texts of a document: a question with its right choice where it has them, else what the model was given."""
    where = f"document {at}"
    doc, target = mapping(row["doc"], where), row["target"]
    choices, right = doc.get("choices"), doc.get("answer")
    place = right if isinstance(right, int) and not isinstance(right, bool) else -1
    if isinstance(doc.get("question"), str) and isinstance(choices, list) and 0 <= place < len(choices):
        return Row(at, text(doc["question"], where), text(choices[place], where))
    prompt = _prompt(row.get("arguments"))
    if prompt is None or not isinstance(target, str | int | float):
        return Row(at)
    return Row(at, text(prompt, where), text(str(target), where).strip())


def _prompt(arguments: Any) -> str | None:
    """The first request's context, in the old form [[context, …], …] or the new {"gen_args_0": {"arg_0": context}}."""
    context = _first(_first(arguments))
    return context if isinstance(context, str) else None


def _first(of: Any) -> Any:
    """The first of what a list or an object holds; None where it is neither, or empty."""
    values = of.values() if isinstance(of, dict) else of if isinstance(of, list) else ()
    return next(iter(values), None)


def _values(row: dict[str, Any], where: str) -> dict[str, Value]:
    """The numbers of a row by name; what is a pair, as perplexities are, has no mean over samples."""
    filtered = row.get("filter", "none")
    behind = "" if filtered == "none" else f"-{plain(str(filtered))}"
    named = row.get("metrics")
    keys = named if isinstance(named, list) else [key for key in row if key not in ABOUT]
    return {
        plain(str(key)) + behind: number(float(value) if isinstance(value, bool) else value, f"{where}: {key}")
        for key in keys
        if isinstance(value := row.get(str(key)), int | float)
    }
