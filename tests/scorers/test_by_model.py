"""Scorers that read the model, against the same said again: one sample at a time, whole logits, no batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scorers.measuring import scored, values
from unlearnkit.contracts import Probe, Scorer, TokenScores
from unlearnkit.data.encode import Encoded
from unlearnkit.metrics.memorization import ExtractionStrength
from unlearnkit.scorers.grad_norm import GradNorm
from unlearnkit.scorers.loss import Loss
from unlearnkit.scorers.memorization import Memorization
from unlearnkit.scorers.min_k import MinK
from unlearnkit.scorers.representation import Representation
from unlearnkit.scoring import ModelBench, Work
from unlearnkit.testing.material import encoded, tiny_model

FORGET, RETAIN = encoded(9, seed=5), encoded(4, seed=6)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model().eval()


def bench(model: Any, batch_size: int = 4) -> ModelBench:
    work = Work([], FORGET, pad=0, seed=0, batch_size=batch_size, encoded_sets={"retain": RETAIN})
    return ModelBench.of(work, model)


def logprobs(model: Any, item: Encoded) -> torch.Tensor:
    """Of a sample's labels, [n], with a gradient."""
    table = model(torch.tensor([item.ids])).logits[0].double().log_softmax(-1)
    return torch.stack([table[t - 1, item.ids[t]] for t in range(item.labels_from, len(item.ids))])


def test_loss_is_the_mean_nll(model: Any) -> None:
    expected = [-logprobs(model, item).mean().item() for item in FORGET]
    np.testing.assert_allclose(values(Loss(), bench(model)), expected, rtol=1e-5)


def test_gradient_norm_is_that_of_plain_autograd_and_leaves_no_gradient() -> None:
    model = tiny_model().eval()
    found = values(GradNorm(), bench(model))
    assert all(weight.grad is None for weight in model.parameters())
    for item, norm in zip(FORGET, found, strict=True):
        model.zero_grad()
        (-logprobs(model, item).mean()).backward()
        squares = sum(float((weight.grad.double() ** 2).sum()) for weight in model.parameters())
        assert norm == pytest.approx(squares**0.5, rel=1e-4)


def test_gradient_norm_counts_trainable_weights_alone() -> None:
    model = tiny_model().eval()
    for name, weight in model.named_parameters():
        weight.requires_grad_("mlp" in name)
    found = values(GradNorm(), bench(model))
    (-logprobs(model, FORGET[0]).mean()).backward()
    squares = sum(float((w.grad.double() ** 2).sum()) for n, w in model.named_parameters() if "mlp" in n)
    assert found[0] == pytest.approx(squares**0.5, rel=1e-4)


@pytest.mark.parametrize("k", [1.0, 20.0, 50.0, 75.0, 100.0])
def test_min_k_by_hand(model: Any, k: float) -> None:
    expected = []
    for item in FORGET:
        ranked = np.sort(logprobs(model, item).detach().numpy())
        expected.append(ranked[: max(1, int(len(ranked) * k / 100))].mean())
    np.testing.assert_allclose(values(MinK(k=k), bench(model)), expected, rtol=1e-5)


def test_min_k_of_everything_is_the_loss(model: Any) -> None:
    np.testing.assert_allclose(values(MinK(k=100), bench(model)), np.negative(values(Loss(), bench(model))), rtol=1e-12)


def test_memorization_is_the_metric() -> None:
    model = knows_endings()
    answers = []
    for item in FORGET:
        logits = model(torch.tensor([item.ids])).logits[0]
        hits = [int(logits[t - 1].argmax()) == item.ids[t] for t in range(item.labels_from, len(item.ids))]
        answers.append(TokenScores(np.zeros(len(hits)), np.array(hits)))
    expected = ExtractionStrength().measure(Probe(samples=(), answer=answers))
    found = values(Memorization(), bench(model))
    assert found == expected
    assert len(set(found)) > 2


def knows_endings() -> Any:
    """A model that has learned some of the samples, so that their strengths differ."""
    model = tiny_model()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(4):
        loss = -torch.cat([logprobs(model, item) for item in FORGET[:5]]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_representation_by_brute_force(model: Any, distance: Any) -> None:
    def place(item: Encoded) -> np.ndarray:
        with torch.no_grad():
            states = model(torch.tensor([item.ids]), output_hidden_states=True).hidden_states[-1][0]
        return states[item.labels_from :].double().mean(0).numpy()

    centre = np.mean([place(item) for item in RETAIN], axis=0)
    expected = []
    for item in FORGET:
        at = place(item)
        cosine = at @ centre / np.linalg.norm(at) / np.linalg.norm(centre)
        expected.append(np.linalg.norm(at - centre) if distance == "euclidean" else 1 - cosine)
    np.testing.assert_allclose(values(Representation(distance=distance), bench(model)), expected, rtol=1e-4)


@pytest.mark.parametrize("scorer", [Loss(), GradNorm(), MinK(), Memorization(), Representation()])
def test_neighbours_in_a_batch_change_nothing(model: Any, scorer: Scorer) -> None:
    alone, together = values(scorer, bench(model, 1)), values(scorer, bench(model, 9))
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-7)


def test_gradient_norms_are_the_same_bits_in_any_batch(model: Any) -> None:
    assert values(GradNorm(), bench(model, 1)) == values(GradNorm(), bench(model, 9))


@pytest.mark.parametrize("scorer", [Loss(), GradNorm(), Representation()])
def test_what_is_no_number_has_no_value(scorer: Scorer) -> None:
    model = tiny_model().eval()
    with torch.no_grad():
        model.model.norm.weight[0] = torch.inf
    assert {(score.value, score.status) for score in scored(scorer, bench(model))} == {(None, "nonfinite")}
