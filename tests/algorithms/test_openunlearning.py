"""First steps on the real model agree with those of another implementation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnkit.contracts import Batch
from unlearnkit.losses import label_scores
from unlearnkit.plugins import Plugins
from unlearnkit.testing.material import total
from unlearnkit.training.loop import TrainingStep

pytestmark = pytest.mark.real

SHARED = Path(os.environ.get("UNLEARNKIT_SHARED", Path(__file__).parents[3] / "shared"))
NUMBERS = SHARED / "reference" / "openunlearning"


@pytest.fixture(scope="module")
def model():
    from unlearnkit.models import load_model, resolve
    from unlearnkit.models.gguf import fetched

    source = fetched()
    if source is None:
        pytest.skip("the real model is not here: make real")
    return load_model(resolve(str(source)))


def batch(given: dict[str, Any]) -> Batch:
    ids, mask, labels = (torch.tensor(given[key]) for key in ("input_ids", "attention_mask", "labels"))
    return Batch(ids, mask, labels, rows=tuple(range(len(ids))))


@pytest.mark.skipif(not NUMBERS.is_dir(), reason=f"{NUMBERS} is not here")
@pytest.mark.parametrize(("theirs", "ours"), [("GradAscent", "ga"), ("GradDiff", "graddiff"), ("NPO", "npo")])
def test_loss_and_gradient_norm(model: Any, theirs: str, ours: str):
    expected = json.loads((NUMBERS / f"{theirs}.json").read_text())
    options = {name: value for name, value in expected["options"].items() if name != "retain_loss_type"}
    algorithm = Plugins(entry_points=()).build("algorithm", ours, options)
    forget = batch(expected["forget"])
    with torch.no_grad():
        anchors = {name: label_scores(model, forget).nll for name in algorithm.anchors}
    retain = batch(expected["retain"]) if algorithm.uses_retain else None
    step = TrainingStep(model, forget, retain, 0.0, anchors)

    terms = algorithm.losses(step)
    loss = total(terms, step)
    model.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in model.parameters()]))

    assert loss.item() == pytest.approx(expected["loss"], rel=1e-5)
    if retain is not None:
        kept = total({"retain": terms["retain"]}, step)
        assert kept.item() == pytest.approx(expected["retain_loss"], rel=1e-5)
    assert norm.item() == pytest.approx(expected["grad_norm"], rel=1e-4)
