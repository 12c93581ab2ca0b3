"""Whether what the model says means what the answer means, in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unlearnkit.contracts import Probe, Undefined
from unlearnkit.metrics.judges import Judge, Judged

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Similarity(Judged):
    """Cosine of the generation's and the answer's embedding by the encoder in the folder `model`, −1 … 1.

    A text's embedding is the mean of the last layer's states over its tokens, as sentence-transformers' models without
    a further layer have it. Undefined ("no_words") where either text is empty.
    Source: Reimers and Gurevych, arXiv 1908.10084; for unlearning arXiv 2410.08109.
    """

    unit: ClassVar[str] = "cosine"
    source: ClassVar[str] = "1908.10084"

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.generation is not None
        if not probe.samples:
            return []
        encoder = self.judge("AutoModel")
        return [
            _cosine(encoder, said, sample.answer) for sample, said in zip(probe.samples, probe.generation, strict=True)
        ]


def _cosine(encoder: Judge, said: str, answer: str) -> float | Undefined:
    from torch.nn.functional import cosine_similarity

    if not said.strip() or not answer.strip():
        return Undefined("no_words")
    return float(cosine_similarity(_embedding(encoder, said), _embedding(encoder, answer), dim=0))


def _embedding(encoder: Judge, text: str) -> Tensor:
    mean: Tensor = encoder.read(text).last_hidden_state[0].double().mean(0)
    return mean
