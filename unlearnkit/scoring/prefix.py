"""A prompt prefix that all samples share, such as a chat template's system turn: run once for each state of the
weights, its keys and values handed to every batch.

Log-probabilities agree with those of the plain pass to float32's rounding, not to the bit. So whether it is used is
decided once for a bench, from its samples and its model, and never depends on what else is to be measured.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from unlearnkit.contracts import Batch
from unlearnkit.losses import label_scores
from unlearnkit.past import past_of, takes_past

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import DynamicCache

WORTH = 256
"""Tokens that have to be saved in a pass over the samples: the prefix's own pass is a small one, and those are slow."""
AGREES = 1e-3
"""Nats by which log-probabilities may differ from the plain pass: far above rounding, far below a wrong position."""
TRIAL = 2
"""Samples that both ways are tried on: of different lengths where there are any, so that one is padded."""


@dataclass
class Prefix:
    """The first tokens of every sample, int64 [1, P], and what `model` makes of them."""

    model: nn.Module
    ids: Tensor
    _cache: Any = field(default=None, repr=False)
    _state: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, model: nn.Module, batches: Sequence[Batch]) -> Prefix | None:
        """The longest prefix of all samples that ends before any label is predicted; None where it saves too little,
        or where the model does not give the same log-probabilities with it."""
        ids = _common(batches) if batches else None
        if ids is None or ids.shape[1] * sum(map(len, batches)) < WORTH or not takes_past(model):
            return None
        prefix = cls(model, ids)
        trial = _first(batches, TRIAL)
        with torch.inference_mode():
            past = prefix.past(trial)
            if past is None:
                return None
            shared = label_scores(model, trial, precise=True, past=past).logprobs
            plain = label_scores(model, trial, precise=True).logprobs
        return prefix if torch.allclose(shared, plain, rtol=AGREES, atol=AGREES) else None

    def past(self, batch: Batch) -> DynamicCache | None:
        """Keys and values of the batch's first P tokens under the weights as they are, free to be added to; None where
        the batch does not begin with the prefix, or the model keeps more than keys and values."""
        from transformers.cache_utils import DynamicCache, DynamicLayer

        length = self.ids.shape[1]
        begins = batch.ids.shape[1] > length and bool((batch.ids[:, :length] == self.ids).all())
        if not begins or bool((batch.labels[:, : length + 1] != -100).any()):
            return None
        state = tuple((p.data_ptr(), p._version) for p in self.model.parameters())
        if state != self._state:
            least = {"logits_to_keep": 1} if "logits_to_keep" in signature(type(self.model).forward).parameters else {}
            self._cache, self._state = past_of(self.model(input_ids=self.ids, use_cache=True, **least)), state
        cache = self._cache
        if type(cache) is not DynamicCache or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return None
        own: DynamicCache = copy.deepcopy(cache)
        own.batch_repeat_interleave(len(batch))
        return own


def _common(batches: Sequence[Batch]) -> Tensor:
    """The tokens that every row of every batch begins with, up to the one before its first label, [1, P]."""
    first = batches[0].ids[:1]
    length = first.shape[1]
    for batch in batches:
        width = min(length, batch.ids.shape[1])
        free = batch.labels[:, 1 : width + 1] == -100
        same = (batch.ids[:, :width] == first[:, :width])[:, : free.shape[1]] & free
        length = int(same.all(0).long().cumprod(0).sum())
    return first[:, :length]


def _first(batches: Sequence[Batch], n: int) -> Batch:
    """n rows of the first batch, its longest among them."""
    batch = batches[0]
    rows = slice(-n, None)
    return replace(batch, ids=batch.ids[rows], mask=batch.mask[rows], labels=batch.labels[rows], rows=batch.rows[rows])
