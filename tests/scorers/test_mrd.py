"""MRD against its definition, written again without batches, snapshots or stored draws."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.contracts import Unit
from unlearnkit.data.encode import Encoded
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scoring import ModelBench, Work
from unlearnkit.seeds import derive
from unlearnkit.testing.material import tiny_model

SIGMA = 1e-2


@pytest.fixture
def model() -> Any:
    return tiny_model().eval()


@pytest.fixture
def encoded() -> list[Encoded]:
    rng = np.random.default_rng(1)
    lengths = (9, 5, 12, 5, 7)
    return [Encoded(tuple(rng.integers(4, 60, n).tolist()), labels_from=2) for n in lengths]


def bench(model: Any, encoded: list[Encoded], batch_size: int = 2) -> ModelBench:
    return ModelBench.of(Work([], encoded, pad=0, seed=7, batch_size=batch_size), model)


def measured(scorer: MRD, on: ModelBench) -> dict[Unit, np.ndarray]:
    return dict(scorer.measure(on, scorer.units(len(on.shards), {})))


def scores(scorer: MRD, on: ModelBench) -> np.ndarray:
    parts: dict[tuple[int, int], list[np.ndarray]] = {}
    for unit, values in sorted(measured(scorer, on).items()):
        parts.setdefault((unit.draw, unit.sign), []).append(values)
    reduced = scorer.reduce({key: np.concatenate(value) for key, value in parts.items()})
    rows = [row for shard in on.shards for batch in shard for row in batch.rows]
    return np.array([score.value for _, score in sorted(zip(rows, reduced, strict=True), key=lambda pair: pair[0])])


def logprobs(model: Any, item: Encoded) -> torch.Tensor:
    """Log-probabilities of a sample's labels, one sample at a time, from the whole logits."""
    ids = torch.tensor([item.ids])
    with torch.no_grad():
        table = model(ids).logits.double().log_softmax(-1)
    return torch.stack([table[0, t - 1, item.ids[t]] for t in range(item.labels_from, len(item.ids))])


def by_definition(model: Any, encoded: list[Encoded], draws: int, seed: int, estimator: str) -> np.ndarray:
    sums = []
    for k in range(draws):
        for sign in (1, -1):
            noisy = copy.deepcopy(model)
            with torch.no_grad():
                for name, p in noisy.named_parameters():
                    generator = torch.Generator().manual_seed(derive(derive(seed, "noise", k, name), 0))
                    p.add_(sign * SIGMA * torch.empty(p.numel()).normal_(generator=generator).view_as(p))
            for item in encoded:
                clean, rough = logprobs(model, item), logprobs(noisy, item)
                sums.append(float(((clean - rough) / clean).sum()))
    table = np.array(sums).reshape(draws, 2, len(encoded))
    if estimator == "antithetic":
        return np.abs(table.mean(axis=(0, 1)))
    return np.abs(table[:, 0].mean(0)) if estimator == "plain" else np.abs(table[:, 0]).mean(0)


@pytest.mark.parametrize("estimator", ["antithetic", "plain", "mean-abs"])
def test_agrees_with_the_definition(model: Any, encoded: list[Encoded], estimator: Any) -> None:
    scorer = MRD(draws=3, sigma=SIGMA, estimator=estimator)
    expected = by_definition(model, encoded, 3, 7, estimator)
    np.testing.assert_allclose(scores(scorer, bench(model, encoded)), expected, rtol=2e-3, atol=1e-6)


def test_weights_are_the_same_bits_afterwards_even_when_stopped_midway(model: Any, encoded: list[Encoded]) -> None:
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    scorer, on = MRD(draws=2, sigma=SIGMA), bench(model, encoded)
    rows = scorer.measure(on, scorer.units(len(on.shards), {}))
    for _ in range(3):
        next(rows)
    assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    rows.close()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_each_unit_is_the_same_bits_alone_and_in_any_company(model: Any, encoded: list[Encoded]) -> None:
    scorer, on = MRD(draws=2, sigma=SIGMA), bench(model, encoded)
    whole = measured(scorer, on)
    for unit in reversed(list(whole)):
        ((_, alone),) = scorer.measure(bench(model, encoded), [unit])
        assert alone.tobytes() == whole[unit].tobytes(), unit


def test_antithetic_value_follows_the_square_of_sigma(model: Any, encoded: list[Encoded]) -> None:
    ratios = scores(MRD(draws=4, sigma=4e-3), bench(model, encoded)) / scores(
        MRD(draws=4, sigma=2e-3), bench(model, encoded)
    )
    np.testing.assert_allclose(ratios, 4, rtol=0.15)


def test_a_sample_known_by_heart_has_no_value_and_says_why() -> None:
    base = np.array([[0.0, 3, 3], [-1e-8, 2, 2], [-4.0, 2, 1]])
    draws = {(-1, 0): base} | {(k, s): np.full((3, 1), 0.5) for k in range(2) for s in (1, -1)}
    known, tiny, usual = MRD(draws=2).reduce(draws)
    assert (known.value, known.status) == (None, "zero_denominator")
    assert (tiny.value, tiny.status) == (0.5, "ill_conditioned")
    assert (usual.value, usual.status, usual.clamped) == (0.5, "ok", 1)


def test_one_draw_has_no_standard_error_and_too_few_finite_ones_no_value() -> None:
    one = MRD(draws=1).reduce({(-1, 0): np.array([[-2.0, 2, 0]]), (0, 1): np.ones((1, 1)), (0, -1): np.ones((1, 1))})
    assert one[0].value == 1.0
    assert one[0].stderr is None
    draws = {(-1, 0): np.array([[-2.0, 2, 0]])}
    draws |= {(k, s): np.array([[np.inf if k == 0 else 1.0]]) for k in range(5) for s in (1, -1)}
    (broken,) = MRD(draws=5).reduce(draws)
    assert (broken.value, broken.status, broken.n) == (None, "nonfinite", 4)


def test_standard_error_is_that_of_the_mean_over_draws() -> None:
    rng = np.random.default_rng(0)
    draws = {(-1, 0): np.array([[-2.0, 2, 0]])} | {(k, s): rng.normal(size=(1, 1)) for k in range(6) for s in (1, -1)}
    pairs = [(draws[k, 1][0, 0] + draws[k, -1][0, 0]) / 2 for k in range(6)]
    (score,) = MRD(draws=6).reduce(draws)
    assert score.stderr == pytest.approx(np.std(pairs, ddof=1) / np.sqrt(6))
