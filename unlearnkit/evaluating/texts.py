"""Texts under a model, token by token. Texts that begin alike, as a question's answers do, have their beginning run
once: its keys and values are handed to rows in which what some of them go on with alike stands once too.

Log-probabilities agree with those of whole texts to float32's rounding. Whether a model does is tried on the first
samples that it is given, once for each way that beginnings are run in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812

from unlearnkit.contracts import LabelLogits, TokenScores
from unlearnkit.data.collate import collate, plan, prompts
from unlearnkit.data.encode import Encoded
from unlearnkit.evaluating import branches
from unlearnkit.evaluating.branches import Branches
from unlearnkit.losses import in_float64, label_logits, logits_at, token_logprobs
from unlearnkit.past import past_of, takes_past, with_past

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache, PreTrainedModel

WORTH = 8
"""Tokens that a sample's texts have to begin with in common for that to be run by itself."""
AGREES = 1e-3
"""Nats by which log-probabilities may differ from the plain pass: far above rounding, far below a wrong position."""
TRIAL = 2
"""Samples that both ways are tried on, so that one is padded."""
BEGINNINGS = 2
"""Times as many beginnings as texts go through at once: they are short, and end before the head."""


@dataclass(frozen=True)
class Begun:
    """Beginnings that were run: those of the groups `of`, where their tokens stand, [B, P], and what the model keeps of
    them."""

    of: Sequence[int]
    mask: Tensor
    past: DynamicCache


@dataclass
class Reader:
    """Reads texts with one model, at most `batch_size` in a pass. `begun` are the beginnings that were run for the last
    ones, where that was asked for; whoever goes on from them takes them from here, as they are large."""

    model: PreTrainedModel
    pad: int
    batch_size: int
    _shares: dict[bool, bool] = field(default_factory=dict, repr=False)
    """Whether the model gives the same with shared beginnings: those run whole, and those run behind what all begin
    with; each from when it was tried on."""
    begun: Begun | None = field(default=None, init=False, repr=False)

    @torch.inference_mode()
    def read(
        self, groups: Sequence[Sequence[Encoded]], *, vocabulary: bool = False, keep: bool = False
    ) -> list[list[TokenScores]]:
        """What the model says of each text, group by group; a group's texts are those that may begin alike. `keep`:
        what was run of beginnings is to be had as `begun`."""
        self.begun = None
        heads = [beginning(group) for group in groups]
        shared = [i for i, head in enumerate(heads) if len(groups[i]) > 1 and head >= WORTH]
        same = _same(groups, heads, shared)
        if shared and not self._sharing(groups, heads, shared[:TRIAL], same):
            shared = []
        found: dict[int, list[TokenScores]] = {}
        alone = [i for i in range(len(groups)) if i not in set(shared)]
        flat = [text for i in alone for text in groups[i]]
        scores = iter(self._plainly(flat, vocabulary))
        for i in alone:
            found[i] = [next(scores) for _ in groups[i]]
        if shared:
            shared.sort(key=lambda i: (heads[i], i))
            begun = self._begin(groups, heads, shared, same)
            found.update(zip(shared, self._behind(groups, heads, begun, vocabulary), strict=True))
            self.begun = begun if keep else None
        return [found[i] for i in range(len(groups))]

    @property
    def _device(self) -> torch.device:
        found: torch.device = self.model.device
        return found

    def _sharing(
        self, groups: Sequence[Sequence[Encoded]], heads: Sequence[int], trial: Sequence[int], same: int
    ) -> bool:
        if (way := same > 0) not in self._shares:
            self._shares[way] = self._agrees([groups[i] for i in trial], [heads[i] for i in trial], same)
        return self._shares[way]

    def _agrees(self, groups: Sequence[Sequence[Encoded]], heads: Sequence[int], same: int) -> bool:
        if not self._attends_as_told():
            return False
        try:
            begun = self._begin(groups, heads, range(len(groups)), same)
            shared = [text for group in self._behind(groups, heads, begun, vocabulary=False) for text in group]
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception:  # whatever a model makes of an attention mask that it does not know
            return False
        plain = self._plainly([text for group in groups for text in group], vocabulary=False)
        return all(
            torch.allclose(torch.from_numpy(a.logprobs), torch.from_numpy(b.logprobs), rtol=AGREES, atol=AGREES)
            for a, b in zip(shared, plain, strict=True)
        )

    def _attends_as_told(self) -> bool:
        """Whether which tokens are seen, and how far away they are, is what the mask and the positions say and nothing
        else, so that tokens may stand in a row wherever they like. Those that go by where a token stands (a window, a
        slope over distances) do so inside attention code of their own; a trial of short texts would not show it."""
        takes = signature(type(self.model).forward).parameters
        backed = bool(getattr(self.model, "_supports_attention_backend", False))
        return backed and "position_ids" in takes and takes_past(self.model)

    def _plainly(self, texts: Sequence[Encoded], vocabulary: bool) -> list[TokenScores]:
        found: dict[int, TokenScores] = {}
        for rows in plan(texts, self.batch_size):
            batch = collate(texts, rows, pad=self.pad, device=self._device)
            found.update(zip(rows, token_scores(label_logits(self.model, batch), vocabulary), strict=True))
        return [found[row] for row in range(len(texts))]

    def _begin(self, groups: Sequence[Sequence[Encoded]], heads: Sequence[int], of: Sequence[int], same: int) -> Begun:
        """Run the first `heads` tokens of some groups, the shortest first; the `same` that all begin with once."""
        begun = [groups[i][0].ids[: heads[i]] for i in of]
        before = self._run([begun[0][:same]]) if same else None
        rest, many = [ids[same:] for ids in begun], BEGINNINGS * self.batch_size
        return Begun(of, *joined([self._run(rest[i : i + many], before) for i in range(0, len(rest), many)]))

    def _run(
        self, texts: Sequence[Sequence[int]], before: tuple[Tensor, DynamicCache] | None = None
    ) -> tuple[Tensor, DynamicCache]:
        """Where some texts' tokens stand behind those of a row that is before them all, and what the model keeps."""
        whole = [Encoded(tuple(text), len(text)) for text in texts]
        ids, mask = prompts(whole, range(len(whole)), pad=self.pad, device=self._device)
        past = None
        if before is not None:
            past = picked(before[1], mask.new_zeros(len(mask)))
            mask = torch.cat([before[0].expand(len(mask), -1), mask], 1)
        return mask, keys_and_values(self.model, ids, mask, past)

    def _behind(
        self, groups: Sequence[Sequence[Encoded]], heads: Sequence[int], begun: Begun, vocabulary: bool
    ) -> list[list[TokenScores]]:
        """What the model says of the texts of groups that were begun."""
        rows: list[Branches] = []
        places: list[int] = []
        for place, i in enumerate(begun.of):
            own = branches.rows(groups[i], heads[i], self.batch_size)
            rows, places = [*rows, *own], [*places, *(place for _ in own)]
        found: dict[tuple[int, int], TokenScores] = {}
        for some in plan(rows, max(1, self.batch_size * len(rows) // sum(len(row.labels) for row in rows))):
            told = self._told([rows[i] for i in some], begun, [places[i] for i in some], vocabulary)
            found |= {(places[i], text): scores for i, own in zip(some, told, strict=True) for text, scores in own}
        return [[found[place, text] for text in range(len(groups[i]))] for place, i in enumerate(begun.of)]

    def _told(
        self, rows: Sequence[Branches], begun: Begun, of: Sequence[int], vocabulary: bool
    ) -> Iterator[list[tuple[int, TokenScores]]]:
        """What the model says of the texts of some rows, each behind one of the beginnings; with the texts' indices."""
        chosen = torch.tensor(of, device=self._device)
        laid = branches.laid(rows, pad=self.pad, device=self._device)
        wanted = torch.zeros_like(laid.ids, dtype=torch.bool)
        wanted[laid.row, laid.before] = True
        before = begun.mask[chosen]
        seen = torch.cat([before.bool().unsqueeze(1).expand(-1, laid.ids.shape[1], -1), laid.sees], -1)
        inputs = {
            "input_ids": laid.ids,
            "attention_mask": _hiding(seen, self.model.dtype),
            "position_ids": before.sum(-1, keepdim=True) + laid.depth,
            "use_cache": True,
            **with_past(self.model, picked(begun.past, chosen)),
        }
        logits = logits_at(self.model, wanted, inputs)
        values = logits.to(torch.promote_types(logits.dtype, torch.float32))
        at = wanted.flatten().cumsum(0).view(wanted.shape)[laid.row, laid.before] - 1
        scores = token_scores(LabelLogits(values[at], laid.label, laid.row, len(rows)), vocabulary)
        for one, own in zip(rows, scores, strict=True):
            yield [(text, _some(own, labels)) for text, labels in one.labels.items()]


def _hiding(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to attention so that each token sees what it is to see, [B, T, S], and no more: [B, 1, T, S]."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min).unsqueeze(1)


def _some(scores: TokenScores, tokens: Sequence[int]) -> TokenScores:
    """Of some tokens."""
    entropy, spread = (None if of is None else of[tokens] for of in (scores.entropy, scores.spread))
    return TokenScores(scores.logprobs[tokens], scores.correct[tokens], entropy, spread)


class _NoCache(Exception):  # noqa: N818 - a model of another kind, not an error
    """The model keeps something else than keys and values."""


def beginning(group: Sequence[Encoded]) -> int:
    """Tokens that all texts of a group begin with, up to the one before the first label."""
    common = branches.in_common([text.ids for text in group])
    return max(0, min([common, *(max(text.labels_from, 1) - 1 for text in group)]))


def _same(groups: Sequence[Sequence[Encoded]], heads: Sequence[int], of: Sequence[int]) -> int:
    """Tokens that the beginnings of some groups begin with, as a template makes them, fewer than the shortest has; 0
    where they are too few to be run by themselves."""
    if len(of) < 2:
        return 0
    common = branches.in_common([groups[i][0].ids[: heads[i]] for i in of])
    same = min(common, min(heads[i] for i in of) - 1)
    return same if same >= WORTH else 0


def keys_and_values(
    model: PreTrainedModel, ids: Tensor, mask: Tensor, past: DynamicCache | None = None
) -> DynamicCache:
    """What a model keeps of beginnings: of `past`, if there is one, and of ids [B, P] behind it, padded on the left.
    `mask` is of both."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    takes = signature(type(model).forward).parameters
    more: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
    if "position_ids" in takes:
        more["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]
    cache = past_of(model(input_ids=ids, attention_mask=mask, use_cache=True, **more, **with_past(model, past)))
    if type(cache) is not DynamicCache or any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise _NoCache
    return cache  # type: ignore[no-any-return]


def picked(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Some rows of a cache, in a cache of their own."""
    from transformers.cache_utils import DynamicCache

    own = DynamicCache()
    for number, layer in enumerate(cache.layers):
        assert layer.keys is not None and layer.values is not None
        own.update(layer.keys[rows], layer.values[rows], number)
    return own


def joined(parts: Sequence[tuple[Tensor, DynamicCache]]) -> tuple[Tensor, DynamicCache]:
    """Rows of several caches in the first of them, padded on the left; with where their tokens stand. The others are
    emptied layer by layer, so that no more than one layer is held twice."""
    width = max(mask.shape[1] for mask, _ in parts)

    def stacked(of: Sequence[Tensor]) -> Tensor:
        return torch.cat([F.pad(one, (0, 0, width - one.shape[-2], 0)) for one in of])

    for own, *others in zip(*(cache.layers for _, cache in parts), strict=True):
        own.keys = stacked([own.keys, *(layer.keys for layer in others)])
        own.values = stacked([own.values, *(layer.values for layer in others)])
        for layer in others:
            layer.keys = layer.values = None
    return torch.cat([F.pad(mask, (width - mask.shape[1], 0)) for mask, _ in parts]), parts[0][1]


def token_scores(logits: LabelLogits, vocabulary: bool) -> Iterator[TokenScores]:
    """What a pass says of each of its texts."""
    logprobs, correct = token_logprobs(logits, precise=True), logits.values.argmax(-1) == logits.targets
    over = _over_vocabulary(logits.values) if vocabulary else (None, None)
    for row in range(logits.size):
        own = logits.sample == row
        yield TokenScores(
            logprobs[own].cpu().numpy(),
            correct[own].cpu().numpy(),
            *(None if of is None else of[own].cpu().numpy() for of in over),
        )


def _over_vocabulary(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy of each distribution, and the standard deviation of log p under p; [n] each, float64, from [n, V]."""
    found = []
    for _, rows in in_float64(logits):
        log_p = rows.log_softmax(-1)
        p = log_p.exp()
        held = torch.where(p > 0, log_p, 0)  # what has no probability has no part in either
        mean = (p * held).sum(-1, keepdim=True)
        found.append(torch.stack([-mean.squeeze(-1), (p * (held - mean).square()).sum(-1).sqrt()]))
    entropy, spread = torch.cat(found, 1) if found else logits.new_zeros(2, 0, dtype=torch.float64)
    return entropy, spread
