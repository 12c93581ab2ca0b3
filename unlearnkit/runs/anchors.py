"""Anchors: what the starting weights say of each sample, measured once and read ever after, instead of a second
model in memory.

The last bits of a log-probability depend on the shape of its batch. So each sample goes through the model alone and
unpadded: its anchor is then a function of weights, text, precision and environment, whichever set or run asks for it
first. The precision is that of the run that reads it: what a method takes for a change is then training's work, and no
rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from unlearnkit.data.collate import collate
from unlearnkit.losses import label_scores
from unlearnkit.runs.identity import digest
from unlearnkit.store import records
from unlearnkit.training.precision import arithmetic

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.workplace import Workplace


def reference_nll(place: Workplace, model: nn.Module, inputs: Inputs, role: str, *, precision: str = "fp32") -> Tensor:
    """Summed NLL of each sample of a set under the starting weights, [N] float32, nats.

    Args:
        model: the starting weights as a run in that precision holds them, for samples that the store lacks.
    """
    samples = inputs.sets[role].samples
    ids, stored = {s.id for s in samples}, anchors(place, inputs, role, precision=precision)
    if len(stored) < len(ids):
        rows = list(_measure(model, inputs, role, ids - stored.keys(), precision))
        place.store.put_anchors(inputs.model.fingerprint, _key(place, inputs, precision), rows)
        stored = anchors(place, inputs, role, precision=precision)
    return torch.tensor([-stored[s.id].logprob for s in samples])


def anchors(place: Workplace, inputs: Inputs, role: str, *, precision: str = "fp32") -> dict[str, records.Anchor]:
    """What the store has of a set's anchors, by sample."""
    ids = {s.id for s in inputs.sets[role].samples}
    return place.store.anchors(inputs.model.fingerprint, _key(place, inputs, precision), ids)


def _key(place: Workplace, inputs: Inputs, precision: str) -> str:
    """What anchors depend on besides weights and samples."""
    rounded = [] if precision == "fp32" else [precision]
    return digest(inputs.template.fingerprint, place.environment(), *rounded)


def _measure(model: nn.Module, inputs: Inputs, role: str, wanted: set[str], precision: str) -> Iterator[records.Anchor]:
    encoded, device = inputs.encoded[role], next(model.parameters()).device
    rows = {s.id: row for row, s in enumerate(inputs.sets[role].samples) if s.id in wanted}
    was_training = model.training
    model.eval()
    with torch.inference_mode(), arithmetic(model, precision):
        for sample, row in rows.items():
            scores = label_scores(model, collate(encoded, [row], pad=inputs.pad, device=device))
            yield records.Anchor(sample, -float(scores.nll[0]), int(scores.tokens[0]))
    model.train(was_training)
