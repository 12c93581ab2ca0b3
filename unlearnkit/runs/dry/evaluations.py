"""How much of an evaluation is in the store, and how many texts and answers the rest takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearnkit.evaluating.engine import known_rows, known_texts, lacking
from unlearnkit.runs.dry.plan import Stage

if TYPE_CHECKING:
    from unlearnkit.contracts import Need, Sample
    from unlearnkit.evaluating import Part
    from unlearnkit.runs.evaluate import EvalTask
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store


def eval_stage(place: Workplace, store: Store | None, task: EvalTask, weights: str, name: str = "evaluation") -> Stage:
    """The samples of all splits, each counted once whatever is read of it.

    At most: a beginning that texts share is read once, an answer may end before its limit, and one that the model is
    seen to know by heart is not asked for."""
    total = Stage(name, "samples", 0, bound="most")
    for part in task.parts(place, weights):
        total = total.with_(_of_part(store, part, task))
    return total


def _of_part(store: Store | None, part: Part, task: EvalTask) -> Stage:
    lengths = _lengths(task, part.split)
    known: Mapping[str, Collection[str]] = dict.fromkeys(part.metrics, ())
    said: Mapping[str, str] = {}
    if store is not None:
        known = {name: {row.sample for row in rows} for name, rows in known_rows(store, part).items()}
        said = known_texts(store, part)
    asked = forward = backward = texts = tokens = 0
    for _, missing, some in lacking(part, known, task.batch_size):
        needs: set[Need] = {need for metric in missing.values() for need in metric.needs}
        if all(sample.id in said for sample in some):
            needs.discard("generation")
        if not needs:
            continue
        asked += len(some)
        read = [lengths[s.id] for s in some for _ in range(_readings(s, needs))]
        read += [lengths[s.id] + before for s in some for before in _before(part, lengths, needs)]
        answers = len(some) * part.max_new_tokens if "generation" in needs else 0
        gradients = len(some) if "gradient" in needs else 0
        forward += -(-len(read) // task.batch_size) + gradients + (part.max_new_tokens if answers else 0)
        backward += gradients
        texts += len(read) + gradients
        tokens += sum(read) + answers + (sum(lengths[s.id] for s in some) if gradients else 0)
    n = len(part.samples)
    return Stage("", "samples", n, n - asked, forward, backward, texts, tokens, bound="most")


def _lengths(task: EvalTask, split: str) -> dict[str, int]:
    """Tokens by sample, with its own answer; other answers are taken to be as long."""
    samples = task.inputs.sets[split].samples
    return {s.id: len(e) for s, e in zip(samples, task.inputs.encoded[split], strict=True)}


def _readings(sample: Sample, needs: Collection[Need]) -> int:
    """Texts that are read of a sample."""
    own = 1 if "answer" in needs or "vocabulary" in needs else 0
    return own + len(sample.others(needs))


def _before(part: Part, lengths: Mapping[str, int], needs: Collection[Need]) -> Sequence[int]:
    """Tokens before a sample that is read once more behind others: one entry where it is."""
    if "prefixed" not in needs or not part.before:
        return ()
    return (sum(lengths.get(s.id, 0) for s in part.before),)
