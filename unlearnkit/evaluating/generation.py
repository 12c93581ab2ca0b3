"""What a model says by itself: many prompts at once, and what has come to its end leaves the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from unlearnkit.contracts import Choice, TokenScores
from unlearnkit.data.collate import prompts
from unlearnkit.data.encode import Encoded
from unlearnkit.evaluating.texts import Begun
from unlearnkit.past import past_of, takes_past, with_past

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def likeliest(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Greedy decoding."""
    del rows
    return logits.argmax(-1)


@torch.inference_mode()
def continuations(
    model: PreTrainedModel,
    texts: Sequence[Sequence[int]],
    *,
    limit: int,
    end: int | None,
    pad: int,
    choose: Choice = likeliest,
    begun: Begun | None = None,
    known: Mapping[int, Sequence[int]] | None = None,
) -> list[list[int]]:
    """The tokens that a model goes on with behind each of some token sequences, without the end token.

    Args:
        limit: how many at most; fewer where the model's context ends before.
        choose: picks each next token.
        begun: all but the last token of every text, if that was run already; it is gone on from, and no more as it was.
        known: continuations by their texts' indices that need not be found.
    """
    from unlearnkit.evaluating.cache import with_room

    known = known or {}
    said = [list(known.get(i, ())) for i in range(len(texts))]
    rows = [i for i, text in enumerate(texts) if text and i not in known]  # plain text has no prompt to go on from
    if not rows or limit < 1:
        return said
    takes = signature(type(model).forward).parameters
    room = _room(model)
    device = next(model.parameters()).device
    state: Any = None
    if begun is None:
        whole = [Encoded(tuple(text), len(text)) for text in texts]
        fed, mask = prompts(whole, rows, pad=pad, device=device)
    else:
        places = torch.tensor([place for place, row in enumerate(begun.of) if row not in known], device=device)
        rows, state = [begun.of[place] for place in places], begun.past
        state.batch_select_indices(places)  # layer by layer: a copy of them all would be held beside them
        fed = torch.tensor([[texts[row][-1]] for row in rows], device=device)
        mask = torch.cat([begun.mask[places], torch.ones_like(fed)], 1)
    while rows:
        more = with_past(model, state)
        if "position_ids" in takes:
            more["position_ids"] = (mask.cumsum(-1) - 1).clamp_min(0)[:, -fed.shape[1] :]
        if "logits_to_keep" in takes:
            more["logits_to_keep"] = 1
        out = model(input_ids=fed, attention_mask=mask, use_cache=True, **more)
        state = with_room(past_of(out))
        chosen = choose(out.logits[:, -1].float(), rows)
        going = []
        for place, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            if token == end:
                continue
            said[row].append(token)
            if len(said[row]) < limit and len(texts[row]) + len(said[row]) < room:
                going.append(place)
        if len(going) < len(rows):
            keep = torch.tensor(going, dtype=torch.int64, device=device)
            rows, chosen, mask = [rows[i] for i in going], chosen[keep], mask[keep]
            if rows:
                state.batch_select_indices(keep)
        fed = chosen.unsqueeze(-1)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)
    return said


def by_heart(text: Encoded, scores: TokenScores, *, limit: int, end: int | None) -> list[int] | None:
    """What a model goes on with greedily behind a text's prompt, where that is seen from its having read the text: each
    label was the most likely token, up to the end token or as many as are wanted. None where it cannot be told."""
    labels = list(text.ids[text.labels_from :])
    until = labels.index(end) + 1 if end in labels else None
    seen = labels[:until][:limit]
    if not text.labels_from or not scores.correct[: len(seen)].all() or (until is None and len(seen) < limit):
        return None
    return [token for token in seen if token != end]


def caches(model: PreTrainedModel) -> bool:
    """Whether a model keeps what it has read as keys and values alone, of which rows can be taken away; one token is
    read to see that. States that a recurrent layer keeps beside them stay as many as they are."""
    from transformers.cache_utils import DynamicCache, LinearAttentionCacheLayerMixin

    if not takes_past(model):
        return False
    with torch.inference_mode():
        kept = past_of(model(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=model.device), use_cache=True))
    return type(kept) is DynamicCache and not any(
        isinstance(layer, LinearAttentionCacheLayerMixin) for layer in kept.layers
    )


def _room(model: PreTrainedModel) -> float:
    """Tokens that a model has positions for."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else float("inf")
