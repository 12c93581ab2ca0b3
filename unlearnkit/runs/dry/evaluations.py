"""How much of an evaluation is in the store, how many texts and answers the rest takes, and how much memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearnkit.evaluating.engine import PIECE, known_rows, known_texts, lacking, pieces
from unlearnkit.models.packed import fits
from unlearnkit.runs.dry.costs import reading_memory
from unlearnkit.runs.dry.plan import Memory, Stage

if TYPE_CHECKING:
    from unlearnkit.contracts import Need, Sample
    from unlearnkit.evaluating import Part
    from unlearnkit.runs.dry.costs import Size
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


def eval_memory(place: Workplace, size: Size, task: EvalTask, *, copies: int = 1) -> Memory:
    """Of an evaluation, which goes on with the prompts of a piece of work together, and on a processor reads with its
    linear layers packed."""
    import torch

    tokens = max((_said_together(part, task) for part in task.parts(place, "")), default=0)
    more = {"keys and values": 4 * size.layers * size.kept * tokens}
    if not torch.cuda.is_available() and fits(4 * size.parameters):
        more["packed weights"] = 4 * size.parameters
    texts = task.inputs.encoded.values()
    return reading_memory(size, texts, task.batch_size, copies=copies, **{what: of for what, of in more.items() if of})


def _said_together(part: Part, task: EvalTask) -> int:
    """Tokens of the prompts, with their answers, of a piece of work, at most."""
    if not any("generation" in metric.needs for metric in part.metrics.values()):
        return 0
    longest = max((len(text.prompt) for text in task.inputs.encoded[part.split]), default=0)
    rows = max((len(piece) for piece in pieces(part.samples, PIECE * task.batch_size)), default=0)
    return rows * (longest + part.max_new_tokens)


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
