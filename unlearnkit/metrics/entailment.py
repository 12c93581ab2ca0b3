"""Whether the answer follows from what the model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Probe, Undefined
from unlearnkit.errors import UnlearnkitError
from unlearnkit.metrics.judges import Judge, Judged


@dataclass(frozen=True)
class Entailment(Judged):
    """Probability that the generation entails the answer, by the classifier in the folder `model`, 0 … 1.

    The generation is the premise and the answer the hypothesis; the classifier is one for natural language inference,
    with a label "entailment" in its configuration. Undefined ("no_words") where either text is empty.
    Source: arXiv 2410.08109, which counts the samples where that label is the likeliest.
    """

    unit: ClassVar[str] = "probability"
    source: ClassVar[str] = "2410.08109"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.generation is not None
        if not probe.samples:
            return []
        classifier = self.judge("AutoModelForSequenceClassification")
        label = _label(classifier, self.model)
        return [
            _probability(classifier, label, said, sample.answer)
            for sample, said in zip(probe.samples, probe.generation, strict=True)
        ]


def _probability(classifier: Judge, label: int, said: str, answer: str) -> float | Undefined:
    if not said.strip() or not answer.strip():
        return Undefined("no_words")
    return float(classifier.read(said, answer).logits[0].double().softmax(-1)[label])


def _label(classifier: Judge, folder: str) -> int:
    labels = {str(name).lower(): int(at) for at, name in classifier.model.config.id2label.items()}
    if "entailment" not in labels:
        raise UnlearnkitError(
            f"{folder} has no label entailment: it has {', '.join(sorted(labels))}",
            hint="a model for natural language inference (NLI) is needed",
            code="architecture",
        )
    return labels["entailment"]
