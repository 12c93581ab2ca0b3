"""How much of the answer the model still says when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from unlearnkit.contracts import Direction, Metric, Need, Probe, Sample, Undefined
from unlearnkit.options import option


@dataclass(frozen=True)
class Rouge(Metric):
    """Overlap of the generated text with the answer: ROUGE by the package `rouge_score`, 0 … 1.

    With the defaults, the share of the answer's words that the generation has in the same order, as in TOFU.
    An empty generation has overlap 0. Undefined where nothing was asked, as of plain text ("no_prompt"), and where the
    answer has no word ("no_target"): the package's words are runs of a-z and 0-9, so other scripts have none.
    Source: Lin, "ROUGE", 2004; arXiv 2401.06121, §2.2.
    """

    variant: Literal["rougeL", "rouge1"] = option("rougeL", "longest common subsequence, or single words")
    score: Literal["recall", "f1"] = option("recall", "share of the answer's words, or F1 of it and precision")
    stemmer: bool = option(True, "compare the stems of words")

    needs: ClassVar[tuple[Need, ...]] = ("generation",)
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of words"
    source: ClassVar[str] = "2401.06121"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        from rouge_score.rouge_scorer import RougeScorer
        from rouge_score.tokenizers import DefaultTokenizer

        assert probe.generation is not None
        words = DefaultTokenizer(self.stemmer)
        scorer = RougeScorer([self.variant], tokenizer=words)
        field = "recall" if self.score == "recall" else "fmeasure"

        def overlap(sample: Sample, text: str) -> float | Undefined:
            if not sample.prompt and not sample.lead:
                return Undefined("no_prompt")
            if not words.tokenize(sample.answer):
                return Undefined("no_target")
            return float(getattr(scorer.score(sample.answer, text)[self.variant], field))

        return [overlap(sample, text) for sample, text in zip(probe.samples, probe.generation, strict=True)]
