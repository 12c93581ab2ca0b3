"""Anchors: what the starting weights say of each sample, measured once and read ever after, instead of a second
model in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unlearnkit.data.collate import collate, plan
from unlearnkit.losses import label_scores
from unlearnkit.store import records

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.workplace import Workplace

BATCH_SIZE = 8


def reference_nll(place: Workplace, model: nn.Module, inputs: Inputs, role: str) -> Tensor:
    """Summed NLL of each sample of a set under the starting weights, [N] float32, nats.

    Args:
        model: the starting weights, in case the store lacks a sample.
    """
    samples, template = inputs.sets[role].samples, inputs.template.fingerprint
    ids = {s.id for s in samples}
    stored = place.store.anchors(inputs.model.fingerprint, template, ids)
    if len(stored) < len(ids):
        fresh = _measure(model, inputs, role)
        place.store.put_anchors(inputs.model.fingerprint, template, fresh)
        stored = place.store.anchors(inputs.model.fingerprint, template, ids)
    return torch.tensor([-stored[s.id].logprob for s in samples])


def _measure(model: nn.Module, inputs: Inputs, role: str) -> list[records.Anchor]:
    samples, encoded = inputs.sets[role].samples, inputs.encoded[role]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for rows in plan(encoded, BATCH_SIZE):
            scores = label_scores(model, collate(encoded, rows, pad=inputs.pad, device=device))
            for row, nll, tokens in zip(rows, scores.nll.tolist(), scores.tokens.tolist(), strict=True):
                found.append(records.Anchor(samples[row].id, -nll, int(tokens)))
    model.train(was_training)
    return found
