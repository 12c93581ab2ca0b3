"""How much of an evaluation is in the store, how many texts and answers the rest takes, and how much memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearnkit.evaluating.cache import ROOM
from unlearnkit.evaluating.engine import PIECE, known_rows, known_texts, lacking, pieces
from unlearnkit.evaluating.texts import BEGINNINGS
from unlearnkit.models.packed import fits
from unlearnkit.runs.dry.memory import longest, memory, reading, weights
from unlearnkit.runs.dry.plan import Stage

if TYPE_CHECKING:
    from unlearnkit.contracts import Need, Sample
    from unlearnkit.evaluating import Part
    from unlearnkit.runs.dry.costs import Size
    from unlearnkit.runs.dry.plan import Memory
    from unlearnkit.runs.evaluate import EvalTask
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store import Store


def eval_stage(place: Workplace, store: Store | None, task: EvalTask, model: str, name: str = "evaluation") -> Stage:
    """The samples of all splits, each counted once whatever is read of it.

    At most: a beginning that texts share is read once, an answer may end before its limit, and one that the model is
    seen to know by heart is not asked for."""
    total = Stage(name, "samples", 0, bound="most")
    for part in task.parts(place, model):
        total = total.with_(_of_part(store, part, task))
    return total


def eval_memory(place: Workplace, size: Size, task: EvalTask, *, copies: int = 1) -> Memory:
    """Of an evaluation while `copies` of the weights are held."""
    held = weights(size, copies)
    return memory(held, while_evaluating(place, size, task, beside=sum(held.values())))


def while_evaluating(place: Workplace, size: Size, task: EvalTask, *, beside: int, each: int = 4) -> dict[str, int]:
    """What an evaluation takes `beside` so many bytes that are held, with weights of `each` bytes: what is kept of the
    prompts of a piece of work, which are gone on with together, and on a processor linear layers packed."""
    import torch

    passes = [_passes(part, task) for part in task.parts(place, "")]
    tokens, kept = (max(of, default=0) for of in (zip(*passes, strict=True) if passes else ((), ())))
    # A layer's keys and values are copied where they are joined, picked and made longer, one layer at a time.
    kept += -(-kept // size.layers)
    labels = task.batch_size * longest(task.inputs.encoded.values())
    packed = each * size.linear
    return reading(size, tokens, labels, each=each) | {
        "keys and values": each * size.kept * kept,
        "packed weights": packed if not torch.cuda.is_available() and fits(packed, beside=beside) else 0,
    }


def _passes(part: Part, task: EvalTask) -> tuple[int, int]:
    """Tokens of a split that go through the model at once, and that it keeps what it has read of, at most."""
    needs: set[Need] = {need for metric in part.metrics.values() for need in metric.needs}
    lengths = _lengths(task, part.split)
    text, before = max(lengths.values(), default=0), sum(_before(part, task, needs))
    prompt = max((len(text.prompt) for text in task.inputs.encoded[part.split]), default=0)
    rows = max((len(piece) for piece in pieces(part.samples, PIECE * task.batch_size)), default=0)
    through, kept = [task.batch_size * (before + text)], [0]
    if before:
        kept.append(before + task.batch_size * (before + text))
    if any(_readings(sample, needs) > 1 for sample in part.samples):
        through.append(BEGINNINGS * task.batch_size * prompt)
        kept.append(rows * prompt + task.batch_size * text)
    if "generation" in needs:
        through.append(rows * prompt)
        kept.append(rows * (prompt + part.max_new_tokens + ROOM))
    return max(through), max(kept)


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
        read += [lengths[s.id] + before for s in some for before in _before(part, task, needs)]
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


def _before(part: Part, task: EvalTask, needs: Collection[Need]) -> Sequence[int]:
    """Tokens before a sample that is read once more behind others: one entry where it is."""
    split = task.suite.splits[part.split].before
    if "prefixed" not in needs or not part.before or split is None:
        return ()
    return (sum(map(len, task.inputs.encoded[split][: len(part.before)])),)  # they are the split's first
