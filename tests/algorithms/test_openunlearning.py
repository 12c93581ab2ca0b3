"""First steps on the real model agree with those of another implementation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from unlearnkit.contracts import Algorithm, Batch, LabelScores
from unlearnkit.losses import label_scores
from unlearnkit.plugins import Plugins
from unlearnkit.testing.material import total
from unlearnkit.training.loop import TrainingStep

SHARED = Path(os.environ.get("UNLEARNKIT_SHARED", Path(__file__).parents[3] / "shared"))
NUMBERS = SHARED / "reference" / "openunlearning"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not NUMBERS.is_dir(), reason="the other implementation's numbers are not here"),
]


@pytest.fixture(scope="module")
def model():
    from unlearnkit.models import load_model, resolve
    from unlearnkit.models.gguf import fetched

    source = fetched()
    if source is None:
        pytest.skip("the real model is not here: make real")
    return load_model(resolve(str(source)))


class StridedStep(TrainingStep):
    """Forget scores by way of OpenUnlearning's NPO, which takes the log-softmax along a strided dimension.

    In float32 that rounds a sample's nll by up to 5e-5 and NPO's gradient norm by 1.3e-4, more than the agreement asked
    for; the kit's own scores are within 4e-7 of float64's. With the same rounding, the same method must agree.
    """

    def scores(self, batch: Batch) -> LabelScores:
        if batch is not self.forget:
            return super().scores(batch)
        return strided(self.model, batch)


def strided(model: Any, batch: Batch) -> LabelScores:
    logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[:, :-1].contiguous()
    labels = batch.labels[:, 1:].contiguous()
    nll = cross_entropy(logits.transpose(-1, -2), labels, ignore_index=-100, reduction="none")
    return LabelScores(-nll, labels != -100, labels != -100)


def batch(given: dict[str, Any]) -> Batch:
    ids, mask, labels = (torch.tensor(given[key]) for key in ("input_ids", "attention_mask", "labels"))
    return Batch(ids, mask, labels, rows=tuple(range(len(ids))))


def setting(theirs: str, ours: str) -> tuple[dict[str, Any], Algorithm]:
    expected = json.loads((NUMBERS / f"{theirs}.json").read_text())
    options = {name: value for name, value in expected["options"].items() if name != "retain_loss_type"}
    return expected, Plugins(entry_points=()).build("algorithm", ours, options)


@pytest.mark.parametrize(
    ("theirs", "ours", "kind", "score"),
    [
        ("GradAscent", "ga", TrainingStep, label_scores),
        ("GradDiff", "graddiff", TrainingStep, label_scores),
        ("NPO", "npo", StridedStep, strided),
    ],
)
def test_loss_and_gradient_norm(model: Any, theirs: str, ours: str, kind: type[TrainingStep], score: Any):
    expected, algorithm = setting(theirs, ours)
    forget = batch(expected["forget"])
    retain = batch(expected["retain"]) if algorithm.uses_retain else None
    with torch.no_grad():
        anchors = {name: score(model, forget).nll for name in algorithm.anchors}
    batches = {"forget": forget} | ({} if retain is None else {"retain": retain})
    step = kind(model, batches, () if kind is StridedStep else tuple(batches), 0.0, anchors)

    terms = algorithm.losses(step)
    loss = total(terms, step)
    model.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])

    assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    if retain is not None:
        kept = total({"retain": terms["retain"]}, step)
        assert kept.item() == pytest.approx(expected["retain_loss"], rel=1e-5)
    assert norm.item() == pytest.approx(expected["grad_norm"], rel=1e-4)


def test_npo_loss_with_the_kits_own_scores(model: Any):
    expected, algorithm = setting("NPO", "npo")
    forget, retain = batch(expected["forget"]), batch(expected["retain"])
    with torch.no_grad():
        anchors = {"forget": label_scores(model, forget).nll}
        batches = {"forget": forget, "retain": retain}
        step = TrainingStep(model, batches, tuple(batches), 0.0, anchors)
        assert total(algorithm.losses(step), step).item() == pytest.approx(expected["loss"], rel=1e-5)
