"""The evaluation engine: one pass finds out all that the metrics of a split need, rows are stored as batches finish.

A chunk of samples is the piece of work: its answers, paraphrases and wrong answers go through the model together,
sorted by length, and its generations come from one batch. A chunk whose rows are all in the store is not done again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from unlearnkit.contracts import Column, Metric, Need, Probe, Sample, TokenScores, Undefined
from unlearnkit.data.collate import collate, plan, prompts
from unlearnkit.data.encode import Encoded, Template, encode
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import label_scores
from unlearnkit.store.records import Generation, Result

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from unlearnkit.progress import Progress
    from unlearnkit.store import Store


@dataclass
class Evaluator:
    """A model, its tokenizer and template, and how much of it goes through at once."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    template: Template
    batch_size: int
    max_new_tokens: int

    def __post_init__(self) -> None:
        from transformers import GenerationConfig

        self.model.eval()
        # A model brings generation settings of its own (penalties, sampling), which fill whatever a call leaves open.
        self.model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=self.max_new_tokens,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=pad_id(self.tokenizer),
        )
        self._device = next(self.model.parameters()).device
        self._pad = pad_id(self.tokenizer)

    def probe(self, samples: Sequence[Sample], needs: Collection[Need]) -> Probe:
        """All that `needs` names ("answer", "paraphrases", "wrong", "generation") about some samples."""
        texts: list[tuple[str, str]] = []
        where: dict[str, list[list[int]]] = {}
        for kind in ("answer", "paraphrases", "wrong"):
            where[kind] = []
            for sample in samples if kind in needs else ():
                answers = (sample.answer,) if kind == "answer" else getattr(sample, kind)
                where[kind].append(list(range(len(texts), len(texts) + len(answers))))
                texts += [(sample.prompt, answer) for answer in answers]
        encoded = encode(self.tokenizer, self.template, texts)
        scores = self._token_scores(encoded)

        def found(kind: str) -> list[list[TokenScores]] | None:
            return [[scores[i] for i in group] for group in where[kind]] if kind in needs else None

        answers = found("answer")
        return Probe(
            samples=samples,
            answer=None if answers is None else [group[0] for group in answers],
            paraphrases=found("paraphrases"),
            wrong=found("wrong"),
            generation=self._generate(samples) if "generation" in needs else None,
        )

    def _token_scores(self, encoded: Sequence[Encoded]) -> list[TokenScores]:
        found: dict[int, TokenScores] = {}
        with torch.inference_mode():
            for rows in plan(encoded, self.batch_size):
                batch = collate(encoded, rows, pad=self._pad, device=self._device)
                scores = label_scores(self.model, batch, precise=True, correct=True)
                for row, logprobs, correct, mask in zip(
                    rows, scores.logprobs.cpu(), scores.correct.cpu(), scores.mask.cpu(), strict=True
                ):
                    found[row] = TokenScores(logprobs[mask].numpy(), correct[mask].numpy())
        return [found[row] for row in range(len(encoded))]

    def _generate(self, samples: Sequence[Sample]) -> list[str]:
        """Greedy continuations of the prompts, up to the end token."""
        encoded = encode(self.tokenizer, self.template, [(s.prompt, s.answer) for s in samples])
        rows = list(range(len(samples)))
        ids, mask = prompts(encoded, rows, pad=self._pad, device=self._device)
        if ids.shape[1] == 0:  # plain text has no prompt to continue
            return ["" for _ in samples]
        with torch.inference_mode():
            whole = self.model.generate(input_ids=ids, attention_mask=mask)
        texts = self.tokenizer.batch_decode(whole[:, ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]


def pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """An id to fill batches with. Masks come from lengths, so any valid id does."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0


def chunks(samples: Sequence[Sample], size: int) -> Iterator[list[Sample]]:
    """Pieces of work: samples of similar length together, a function of the samples and the size alone."""
    order = sorted(samples, key=lambda s: (len(s.prompt) + len(s.answer), s.position))
    for i in range(0, len(order), size):
        yield order[i : i + size]


def measure(
    store: Store,
    run: str,
    split: str,
    samples: Sequence[Sample],
    metrics: Mapping[str, Metric],
    evaluator: Evaluator,
    progress: Progress,
    *,
    keep_text: bool,
) -> int:
    """Measure what the store lacks of a split; the number of samples that went through the model.

    Raises:
        UnlearnkitError: code `plugin-error` or `plugin-contract`, where a metric is at fault.
    """
    stored: dict[str, set[str]] = {}
    for result in store.results(run):
        if result.split == split:
            stored.setdefault(result.sample, set()).add(result.metric)
    needs = {need for metric in metrics.values() for need in metric.needs}
    computed = 0
    progress.start(f"evaluating {split}", len(samples))
    for chunk in chunks(samples, evaluator.batch_size):
        if all(stored.get(s.id, set()) >= set(metrics) for s in chunk):
            progress.advance(len(chunk))
            continue
        probe = evaluator.probe(chunk, needs)
        rows = [row for name, metric in metrics.items() for row in measured(name, metric, split, probe)]
        texts = [Generation(split, s.id, text) for s, text in zip(chunk, probe.generation or (), strict=False)]
        store.put_results(run, rows, texts if keep_text else ())
        store.beat(run)
        computed += len(chunk)
        progress.advance(len(chunk))
    progress.finish()
    return computed


def measured(name: str, metric: Metric, split: str, probe: Probe) -> list[Result]:
    """A metric's values on a probe as rows; what is not a number becomes a reason."""
    try:
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


def columns(results: Sequence[Result], metrics: Mapping[str, Metric]) -> dict[tuple[str, str], Column]:
    """Stored rows as columns, samples in a fixed order; a metric that no longer exists is left out."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for result in results:
        if result.value is not None and result.metric in metrics:
            found.setdefault((result.split, result.metric), []).append((result.sample, result.value))
    made = {}
    for (split, name), pairs in found.items():
        values = np.array([value for _, value in sorted(pairs)])
        made[split, name] = Column(values, metrics[name].summarise(values, split))
    return made
