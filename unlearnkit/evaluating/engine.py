"""The evaluation engine: what the store does not hold of a split is asked of the model, once, and stored at once.

Values are looked up by a key of all that determines them but the sample, so those that another run has found are
taken from there. A model is loaded only where something is missing. Rounding alone is not part of a key: a value found
in another batch differs in its last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from unlearnkit.contracts import Choice, Column, Metric, Need, Probe, Sample, Undefined
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store.records import Generation, Result

if TYPE_CHECKING:
    from unlearnkit.data.encode import Template
    from unlearnkit.evaluating.probing import Evaluator
    from unlearnkit.progress import Progress
    from unlearnkit.store import Store

VERSION = 1
"""Changes when what metrics are told of the same sample would be something else."""

PIECE = 4
"""Batches in a piece of work, about. Rows are stored when it is done, and its prompts are answered together: a token
costs less the more of them are found at a time."""


@dataclass(frozen=True)
class Part:
    """A split as it is evaluated: what is read of which samples, and how they are put to a model.

    `metrics` and `keys` are by the names that values are stored under; `generations` is the key of what the model says
    by itself, which metrics read up to the first of the texts `stop`. `before` are the samples that "prefixed" puts
    before each; `choose` picks tokens, where that is not the likeliest.
    """

    split: str
    samples: Sequence[Sample]
    metrics: Mapping[str, Metric]
    keys: Mapping[str, str]
    generations: str
    template: Template
    max_new_tokens: int
    before: Sequence[Sample] = ()
    stop: Sequence[str] = ()
    choose: Callable[[Sequence[Sample]], Choice] | None = None

    def heard(self, probe: Probe) -> Probe:
        """A probe as metrics see it."""
        if probe.generation is None or not self.stop:
            return probe
        return replace(probe, generation=[_up_to(text, self.stop) for text in probe.generation])


def _up_to(text: str, stop: Sequence[str]) -> str:
    for end in stop:
        text = text.partition(end)[0]
    return text.rstrip()


def pieces(samples: Sequence[Sample], size: int) -> Iterator[list[Sample]]:
    """Pieces of work of about `size`: samples of similar length together, a function of the samples and the size alone.
    None is a small rest, which would cost nearly as much as a whole one: they are of one size but for 1, and that is
    less than 1.5 `size`."""
    order = sorted(samples, key=lambda s: (len(s.prompt) + len(s.answer), s.position))
    many = max(1, round(len(order) / size))
    ends = [i * len(order) // many for i in range(many + 1)]
    for start, end in pairwise(ends):
        yield order[start:end]


def measure(
    store: Store,
    run: str,
    part: Part,
    evaluator: Callable[[], Evaluator],
    batch_size: int,
    progress: Progress,
    *,
    keep_text: bool,
) -> int:
    """Measure what the store lacks of a split; the number of samples that went through the model.

    Args:
        evaluator: gives the model; called only where something is missing.

    Raises:
        UnlearnkitError: code `plugin-error` or `plugin-contract`, where a metric is at fault.
    """
    store.put_readings(run, part.split, {**part.keys, GENERATIONS: part.generations})
    found = known_rows(store, part)
    for name, rows in found.items():  # what the run takes from others
        store.put_results(run, [Result(part.split, name, r.sample, r.value, r.status) for r in rows])
    known = {name: {row.sample for row in rows} for name, rows in found.items()}
    said = known_texts(store, part)
    computed = 0
    progress.start(f"evaluating {part.split}", len(part.samples))
    for piece, missing, some in lacking(part, known, batch_size):
        if some:
            probe, asked = _probe(part, some, missing.values(), said, evaluator)
            rows = [
                row
                for name, metric in missing.items()
                for row in measured(name, metric, part.split, part.heard(probe))
                if row.sample not in known[name]
            ]
            texts = [Generation(part.split, s.id, text) for s, text in zip(some, probe.generation or (), strict=False)]
            store.put_results(run, rows, texts if keep_text else ())
            store.beat(run)
            computed += len(some) if asked else 0
        progress.advance(len(piece))
    progress.finish()
    return computed


GENERATIONS = "@generation"
"""Under what name the key of generations is kept, beside those of metrics, none of which is called so."""


def known_rows(store: Store, part: Part) -> dict[str, list[Result]]:
    """What the store has of a split's values, by metric, whichever run found it."""
    wanted = {sample.id for sample in part.samples}
    return {name: [r for r in store.known_results(part.keys[name]) if r.sample in wanted] for name in part.metrics}


def known_texts(store: Store, part: Part) -> Mapping[str, str]:
    """What the store has of what the model says by itself, by sample, where a metric reads that."""
    generated = any("generation" in metric.needs for metric in part.metrics.values())
    return store.known_generations(part.generations) if generated else {}


def lacking(
    part: Part, known: Mapping[str, Collection[str]], batch_size: int
) -> Iterator[tuple[list[Sample], dict[str, Metric], list[Sample]]]:
    """Each piece of work of a split, with the metrics that lack values there and the samples whose they are.

    Args:
        known: the samples that have a value, by metric.
    """
    for piece in pieces(part.samples, PIECE * batch_size):
        # What a metric lacks of a piece is found with what the others lack of it: a pass has room for all.
        missing = {name: metric for name, metric in part.metrics.items() if any(s.id not in known[name] for s in piece)}
        yield piece, missing, [s for s in piece if any(s.id not in known[name] for name in missing)]


def _probe(
    part: Part,
    samples: Sequence[Sample],
    metrics: Collection[Metric],
    said: Mapping[str, str],
    evaluator: Callable[[], Evaluator],
) -> tuple[Probe, bool]:
    """What some metrics need to know of some samples, and whether the model was asked."""
    needs: set[Need] = {need for metric in metrics for need in metric.needs}
    texts = [said[s.id] for s in samples if s.id in said]
    if len(texts) < len(samples):
        texts = []
    if texts and "generation" in needs:
        needs.remove("generation")
        if not needs:
            return Probe(samples, generation=texts), False
    more = {} if part.choose is None else {"choose": part.choose(samples)}
    probe = evaluator().probe(
        samples, needs, part.template, max_new_tokens=part.max_new_tokens, before=part.before, **more
    )
    return (replace(probe, generation=texts) if texts else probe), True


def measured(name: str, metric: Metric, split: str, probe: Probe) -> list[Result]:
    """A metric's values on a probe as rows; what is not a number becomes a reason."""
    from unlearnkit.checks import contained

    try:
        with contained():
            values = list(metric.measure(probe))
    except (Exception, SystemExit) as error:
        raise UnlearnkitError(
            f"metric {name} failed on {split}: {type(error).__name__}: {error}", code="plugin-error"
        ) from error
    if len(values) != len(probe.samples):
        raise UnlearnkitError(
            f"metric {name} gave {len(values)} values for {len(probe.samples)} samples",
            code="plugin-contract",
        )
    rows = []
    for sample, value in zip(probe.samples, values, strict=True):
        if isinstance(value, Undefined):
            rows.append(Result(split, name, sample.id, None, value.reason))
        elif np.isfinite(value):
            rows.append(Result(split, name, sample.id, float(value)))
        else:
            rows.append(Result(split, name, sample.id, None, "nonfinite"))
    return rows


def columns(results: Sequence[Result], metrics: Mapping[tuple[str, str], Metric]) -> dict[tuple[str, str], Column]:
    """Stored rows as columns, samples in a fixed order; what is of none of the metrics is left out.

    Args:
        metrics: by split and the name that values are stored under.
    """
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for key, rows in groupby(results, key=attrgetter("split", "metric")):
        if key in metrics and (pairs := [(r.sample, r.value) for r in rows if r.value is not None]):
            found.setdefault(key, []).extend(pairs)
    made = {}
    for (split, name), pairs in found.items():
        pairs.sort()
        values = np.array([value for _, value in pairs])
        metric = metrics[split, name]
        samples = tuple(sample for sample, _ in pairs)
        made[split, name] = Column(values, metric.summarise(values, split), samples, metric.values_better)
    return made
