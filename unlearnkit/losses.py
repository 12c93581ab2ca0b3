"""Log-probabilities of label tokens: the one forward pass that scoring, training and evaluation share.

The head of a language model is as wide as its vocabulary, so logits are asked for at the label columns alone. Labels
come from the batch (which has them from lengths and templates), are shifted here, and nowhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from unlearnkit.contracts import Batch, LabelScores

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS = 64
"""Label tokens whose logits are held in float64 at a time."""


def label_scores(model: nn.Module, batch: Batch, *, precise: bool = False, correct: bool = False) -> LabelScores:
    """Log p(x_t | x_<t) of every label token, with a gradient where autograd is on.

    Args:
        model: a causal language model of transformers.
        batch: [B, T] ids, mask, labels.
        precise: return float64, computed so that a nearly certain token keeps its relative accuracy, where
            log-softmax rounds to 0. For measuring, not for training.
        correct: also say where the label is the most likely token; costs a pass over the logits.

    Returns:
        [B, K] scores over the K columns in which any sample has a label.
    """
    shifted = batch.labels[:, 1:]
    labelled = shifted != -100
    columns = labelled.any(0).nonzero().squeeze(1)
    targets, mask = shifted[:, columns], labelled[:, columns]
    logits = _logits_at(model, batch, columns).float()
    if precise:
        logprobs = _precisely(logits, targets, mask)
    else:
        nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none")
        logprobs = -nll.view(targets.shape)
    hits = (logits.argmax(-1) == targets) & mask if correct else mask
    return LabelScores(logprobs=logprobs, mask=mask, correct=hits)


def _precisely(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """log p_y = -log(1 + Σ_{j≠y} exp(z_j - z_y)) in float64, [B, K]; the 1 is added last, so nothing cancels."""
    found = torch.zeros(targets.shape, dtype=torch.float64, device=logits.device)
    parts = []
    kept, wanted = logits[mask], targets[mask].unsqueeze(-1)
    for start in range(0, len(kept), ROWS):
        rows, labels = kept[start : start + ROWS].double(), wanted[start : start + ROWS]
        gaps = rows - rows.gather(-1, labels)
        others = gaps.scatter(-1, labels, -torch.inf).logsumexp(-1)
        parts.append(-torch.logaddexp(torch.zeros_like(others), others))
    found[mask] = torch.cat(parts)
    return found


def _logits_at(model: nn.Module, batch: Batch, columns: Tensor) -> Tensor:
    """Logits [B, K, V] that predict the tokens *after* `columns`, with the model's own head and scaling."""
    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "use_cache": False}
    if _keeps_logits(type(model).forward):
        logits: Tensor = model(**inputs, logits_to_keep=columns).logits
        return logits
    return model(**inputs).logits[:, columns]  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def _keeps_logits(forward: Callable[..., object]) -> bool:
    return "logits_to_keep" in inspect.signature(forward).parameters
