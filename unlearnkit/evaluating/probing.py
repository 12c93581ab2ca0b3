"""Asking a model about samples: all that metrics need to know of them, each thing once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from unlearnkit.contracts import Choice, Need, Probe, Sample, TokenScores
from unlearnkit.data.collate import collate
from unlearnkit.data.encode import Encoded, Template, encode, pad_id
from unlearnkit.evaluating.generation import by_heart, caches, continuations, likeliest
from unlearnkit.evaluating.texts import Begun, Reader
from unlearnkit.losses import label_scores
from unlearnkit.models.packed import packed

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass
class Evaluator:
    """A model with its tokenizer, and how many texts go through it at once.

    Args:
        context: tokens that the model takes at most; None where it does not say.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    batch_size: int
    context: int | None = None
    _reader: Reader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from transformers import GenerationConfig

        self.model.eval()
        self._pad = pad_id(self.tokenizer)
        # A model brings generation settings of its own (penalties, sampling), which fill whatever a call leaves open.
        self.model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=self.tokenizer.eos_token_id, pad_token_id=self._pad
        )
        self._reader = Reader(self.model, self._pad, self.batch_size)

    def probe(
        self,
        samples: Sequence[Sample],
        needs: Collection[Need],
        template: Template,
        *,
        max_new_tokens: int,
        before: Sequence[Sample] = (),
        choose: Choice = likeliest,
    ) -> Probe:
        """All that `needs` names about some samples.

        Args:
            before: samples that "prefixed" puts before each.
            choose: picks each next token of a generation.
        """
        with packed(self.model) if set(needs) != {"gradient"} else nullcontext():  # which takes layers as they are
            return self._probe(samples, needs, template, max_new_tokens, before, choose)

    def _probe(
        self,
        samples: Sequence[Sample],
        needs: Collection[Need],
        template: Template,
        max_new_tokens: int,
        before: Sequence[Sample],
        choose: Choice,
    ) -> Probe:
        answers = self.encoded(samples, template)
        told = self._told(samples, answers, needs, template)
        generation = None
        if "generation" in needs:
            known = self._by_heart(answers, told, max_new_tokens) if choose is likeliest else {}
            generation = self.generate(answers, max_new_tokens, choose=choose, begun=self._begun(answers), known=known)
        return Probe(
            samples=samples,
            answer=[texts[0] for texts in told["answer"]] if "answer" in told else None,
            paraphrases=told.get("paraphrases"),
            wrong=told.get("wrong"),
            generation=generation,
            prefixed=self._prefixed(answers, self.encoded(before, template)) if "prefixed" in needs else None,
            gradient=[self._gradient(answer) for answer in answers] if "gradient" in needs else None,
        )

    def encoded(self, samples: Sequence[Sample], template: Template) -> list[Encoded]:
        """Samples with their answers, as token ids."""
        return encode(self.tokenizer, template, [(s.prompt, s.answer, s.lead) for s in samples])

    def _told(
        self, samples: Sequence[Sample], answers: Sequence[Encoded], needs: Collection[Need], template: Template
    ) -> dict[str, list[list[TokenScores]]]:
        """What the model says of the texts of each kind that is needed, sample by sample."""
        kinds = [kind for kind in ("answer", "paraphrases", "wrong") if kind in needs]
        if not kinds:
            return {}
        groups: list[list[Encoded]] = [[] for _ in samples]
        counts: list[list[int]] = [[] for _ in samples]
        others = {"paraphrases": [s.paraphrases for s in samples], "wrong": [s.wrong for s in samples]}
        for kind in kinds:
            if kind == "answer":
                texts = [[answer] for answer in answers]
            else:
                pairs = [(s.prompt, text, s.lead) for s, own in zip(samples, others[kind], strict=True) for text in own]
                found = iter(encode(self.tokenizer, template, pairs))
                texts = [[next(found) for _ in own] for own in others[kind]]
            for i, own in enumerate(texts):
                groups[i] += own
                counts[i].append(len(own))
        read = self._reader.read(groups, vocabulary="vocabulary" in needs, keep="generation" in needs)
        told: dict[str, list[list[TokenScores]]] = {kind: [] for kind in kinds}
        for scores, count in zip(read, counts, strict=True):
            rest = iter(scores)
            for kind, n in zip(kinds, count, strict=True):
                told[kind].append([next(rest) for _ in range(n)])
        return told

    def _by_heart(
        self, answers: Sequence[Encoded], told: Mapping[str, list[list[TokenScores]]], limit: int
    ) -> dict[int, list[int]]:
        """What the model says to the prompts whose answer it was just seen to know by heart."""
        end = self.tokenizer.eos_token_id
        found = {
            i: by_heart(answer, scores, limit=limit, end=end)
            for i, (answer, (scores,)) in enumerate(zip(answers, told.get("answer", ()), strict=False))
        }
        return {i: said for i, said in found.items() if said is not None}

    def _begun(self, texts: Sequence[Encoded]) -> Begun | None:
        """What was just run of the texts' prompts, where that is all but the last token of each; it is kept no more."""
        begun, self._reader.begun = self._reader.begun, None
        if begun is None or sorted(begun.of) != list(range(len(texts))):
            return None
        whole = all(int(n) == len(texts[i].prompt) - 1 for n, i in zip(begun.mask.sum(1), begun.of, strict=True))
        return begun if whole else None

    def generate(
        self,
        texts: Sequence[Encoded],
        max_new_tokens: int,
        *,
        choose: Choice = likeliest,
        begun: Begun | None = None,
        known: Mapping[int, Sequence[int]] | None = None,
    ) -> list[str]:
        """What the model says to the texts' prompts, up to the end token; greedily, or as `choose` picks. `begun` and
        `known` as `continuations` takes them."""
        asked = [text.prompt for text in texts]
        if caches(self.model):
            said = continuations(
                self.model, asked, limit=max_new_tokens, end=self.tokenizer.eos_token_id, pad=self._pad,
                choose=choose, begun=begun, known=known,
            )  # fmt: skip
        else:
            said = [self._alone(row, prompt, max_new_tokens, choose) for row, prompt in enumerate(asked)]
        return [text.strip() for text in self.tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _alone(self, row: int, prompt: Sequence[int], max_new_tokens: int, choose: Choice) -> list[int]:
        """The continuation by a model that keeps states: they are not padded, and no rows are taken from them."""
        if not prompt:
            return []
        ids = torch.tensor([list(prompt)], device=next(self.model.parameters()).device)

        def only_the_chosen(_: Tensor, logits: Tensor) -> Tensor:
            chosen = choose(logits.float(), [row])
            return torch.full_like(logits, -torch.inf).scatter(-1, chosen.unsqueeze(-1), 0.0)

        with torch.inference_mode():
            whole = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens,
                logits_processor=[only_the_chosen],
            )  # fmt: skip
        return whole[0, len(prompt) :].tolist()  # type: ignore[no-any-return]

    def _prefixed(self, answers: Sequence[Encoded], before: Sequence[Encoded]) -> list[TokenScores | None]:
        """The answers behind other samples, each in full; None where that is longer than the model's context, and where
        there are no others."""
        if not before:
            return [None] * len(answers)
        head = tuple(token for text in before for token in text.ids)
        whole = [Encoded(head + answer.ids, len(head) + max(answer.labels_from, 1)) for answer in answers]
        fits = [i for i, text in enumerate(whole) if self.context is None or len(text) <= self.context]
        # One group: the texts before are the same for all.
        read = self._reader.read([[whole[i] for i in fits]])[0] if fits else []
        found = dict(zip(fits, read, strict=True))
        return [found.get(i) for i in range(len(whole))]

    def _gradient(self, answer: Encoded) -> float:
        """Norm of the gradient of a text's mean NLL by all weights that can be trained, nats per unit of weight."""
        weights = [p for p in self.model.parameters() if p.requires_grad]
        batch = collate([answer], [0], pad=self._pad, device=weights[0].device)
        with torch.enable_grad():
            scores = label_scores(self.model, batch)
            gradient = torch.autograd.grad((scores.nll / scores.tokens).sum(), weights, allow_unused=True)
        parts = [torch.linalg.vector_norm(part, dtype=torch.float64) for part in gradient if part is not None]
        return float(torch.stack(parts).norm())
