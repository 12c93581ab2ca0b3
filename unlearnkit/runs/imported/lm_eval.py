"""Sample logs of lm-evaluation-harness: `samples_TASK_DATE.jsonl`, a row for each document and filter.

Each task is a split, and each number of its rows a metric as the harness defines it. Source: lm_eval/evaluator.py,
`--log_samples`.
"""

from __future__ import annotations

import re
from typing import Any

from unlearnkit.runs.imported.files import Document, Malformed, Value, index, number, text
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
    """A document's texts: the first request's context, and of options the right one, else what was to come."""
    where, target = f"document {at}", row["target"]
    requests = [_parts(request) for request in _parts(row.get("arguments"))]
    contexts = {request[0] if request else None for request in requests}
    place = target if isinstance(target, int) and not isinstance(target, bool) else -1
    if len(contexts) == 1 < len(requests) and 0 <= place < len(requests) and len(requests[place]) > 1:
        target = requests[place][1]
    context = requests[0][0] if requests and requests[0] else None
    if not isinstance(context, str) or not isinstance(target, str | int | float):
        return Row(at)
    return Row(at, text(context, where), text(str(target), where).strip())


def _parts(of: Any) -> list[Any]:
    """What stands in an old list [[context, …], …] or a new object {"gen_args_0": {"arg_0": context, …}, …}."""
    return list(of.values()) if isinstance(of, dict) else of if isinstance(of, list) else []


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
