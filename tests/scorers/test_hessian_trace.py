"""Hutchinson's estimates against a Hessian that is written out, and MRD against what it approximates."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from scorers.measuring import draws, scored, values
from unlearnkit.data.encode import Encoded
from unlearnkit.errors import UnlearnkitError
from unlearnkit.scorers.alone import alone
from unlearnkit.scorers.hessian_trace import HessianTrace, curvature, probe
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.noise import NoisyWeights
from unlearnkit.scoring import ModelBench, Work
from unlearnkit.testing import material

TEXTS = [Encoded((1, 5, 3, 8, 2, 9), 2), Encoded((4, 4, 7, 1), 1), Encoded((6, 2, 10, 3, 5), 3)]
EPS = 2.3  # some of the log-probabilities below are nearer to 0


def llama() -> Any:
    shape = {"vocab_size": 11, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 8}
    return LlamaForCausalLM(LlamaConfig(**shape, **heads, tie_word_embeddings=True, initializer_range=0.8))


def gpt2() -> Any:
    """Has layer normalisation, of which torch's forward mode has wrong second derivatives."""
    shape = {"vocab_size": 11, "n_embd": 4, "n_inner": 4, "n_layer": 1, "n_head": 1, "n_positions": 8}
    return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0, initializer_range=0.8))


def small(make: Any) -> Any:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return make().double().eval()


def bench(model: Any, batch_size: int = 2) -> ModelBench:
    return ModelBench.of(Work([], TEXTS, pad=0, seed=7, batch_size=batch_size), model)


def hessian(model: Any, item: Encoded) -> torch.Tensor:
    """Of Σ_t P_t(θ') / P_t(θ) in all weights one after the other, [W, W], row by row."""
    model.set_attn_implementation("eager")
    weights = dict(model.named_parameters())
    sizes = [weight.numel() for weight in weights.values()]
    ids = torch.tensor([item.ids])
    at = range(item.labels_from, len(item.ids))

    def logprobs(flat: torch.Tensor) -> torch.Tensor:
        parts = {n: p.view_as(w) for (n, w), p in zip(weights.items(), flat.split(sizes), strict=True)}
        table = functional_call(model, parts, (ids,)).logits[0].log_softmax(-1)
        return torch.stack([table[t - 1, item.ids[t]] for t in at])

    theta = torch.cat([weight.detach().flatten() for weight in weights.values()])
    fixed = logprobs(theta).detach().clamp(max=-EPS)
    return torch.autograd.functional.hessian(lambda flat: (logprobs(flat) / fixed).sum(), theta)


@pytest.mark.parametrize("make", [llama, gpt2])
def test_agrees_with_the_hessian_written_out(make: Any) -> None:
    model = small(make)
    scorer = HessianTrace(draws=24, eps=EPS)
    table = draws(scorer, bench(model, batch_size=1))  # one a batch, shortest first
    for place, row in enumerate((1, 2)):
        whole = hessian(model, TEXTS[row])
        for k in range(3):
            v = torch.cat([part.flatten() for part in probe(model, 7, k).values()])
            assert table[k, 0][place, 0] == pytest.approx(float(v @ whole @ v) / 2, rel=1e-4, abs=1e-5)
        score = scorer.reduce(table)[place]
        assert score.value is not None
        assert score.stderr is not None
        assert abs(score.value - abs(float(whole.trace())) / 2) < 4 * score.stderr
        assert score.stderr < abs(float(whole.trace()))


def test_clamped_tokens_are_counted() -> None:
    model = small(llama)
    found = scored(HessianTrace(draws=1, eps=EPS), bench(model))
    for item, score in zip(TEXTS, found, strict=True):
        with torch.no_grad():
            table = model(torch.tensor([item.ids])).logits[0].log_softmax(-1)
        near = [float(table[t - 1, item.ids[t]]) > -EPS for t in range(item.labels_from, len(item.ids))]
        assert score.clamped == sum(near)
    assert 0 < sum(score.clamped for score in found) < sum(item.tokens for item in TEXTS)


def test_neighbours_in_a_batch_change_no_bit() -> None:
    model, scorer = material.tiny_model().eval(), HessianTrace(draws=2)
    assert values(scorer, bench(model, 1)) == values(scorer, bench(model, 3))


def test_a_direction_can_be_made_again_and_tied_weights_have_one() -> None:
    model = material.tiny_model()
    first, again, other = probe(model, 0, 1), probe(copy.deepcopy(model), 0, 1), probe(model, 0, 2)
    assert len(first) == len(list(model.parameters()))
    assert {value for part in first.values() for value in part.unique().tolist()} == {-1, 1}
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[n], other[n]) for n in first)
    drawn = torch.cat([part.flatten() for part in first.values()])
    assert abs(float(drawn.mean())) < 4 / len(drawn) ** 0.5


def test_gradients_are_not_left_behind() -> None:
    model = material.tiny_model().eval()
    draws(HessianTrace(draws=1), bench(model))
    assert all(weight.grad is None for weight in model.parameters())


def test_without_a_second_derivative_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model = material.tiny_model().eval()
    plain = model.model.norm.forward
    monkeypatch.setattr(model.model.norm, "forward", lambda x: torch.cdist(plain(x), torch.eye(32)[None], p=1))
    with pytest.raises(UnlearnkitError) as caught:
        draws(HessianTrace(draws=1), bench(model))
    assert caught.value.code == "no-derivative"
    assert "cdist" in caught.value.message


# ------------------------------------------------------------------------------------------------- the link to MRD


@pytest.mark.parametrize("sigma", [5e-4, 1e-3, 2e-3])
def test_each_pair_of_mrd_is_the_curvature_along_its_noise(sigma: float) -> None:
    """−(S⁺ + S⁻) / 2σ² → ½ vᵀ ∇²f v for the very v that the noise is σ times: nothing is left to chance."""
    on = material.bench(n=6)
    pairs = draws(MRD(draws=2, sigma=sigma), on)
    for k in range(2):
        noisy = copy.deepcopy(on.model)
        NoisyWeights(noisy, on.seed, sigma).set(k, 1)
        there = dict(noisy.named_parameters())
        noise = {name: (there[name].detach() - w.detach()) / sigma for name, w in on.model.named_parameters()}
        samples = [sample for shard in on.shards for batch in shard for sample in alone(batch)]
        exact = np.array([curvature(on.model, sample, noise, 1e-6) for sample in samples])
        measured = -(pairs[k, 1] + pairs[k, -1])[:, 0] / (2 * sigma**2)
        np.testing.assert_allclose(measured, exact, rtol=0.02, atol=0.02 * np.abs(exact).max())


@pytest.mark.slow
def test_mrd_over_sigma_squared_agrees_within_the_error_bars() -> None:
    from scipy.stats import chi2

    on, n = material.bench(n=8), 48
    curvatures = scored(HessianTrace(draws=n), on)
    for sigma in (5e-4, 1e-3, 2e-3):
        pairs = list(zip(scored(MRD(draws=n, sigma=sigma), on), curvatures, strict=True))
        z = np.array([(m.value / sigma**2 - h.value) / np.hypot(m.stderr / sigma**2, h.stderr) for m, h in pairs])  # type: ignore[operator, arg-type]
        assert chi2.sf((z**2).sum(), len(z)) > 0.01, (sigma, z)
        assert abs(z.sum()) / len(z) ** 0.5 < 2.6, (sigma, z)  # no side is taken
        clear = [h.value / h.stderr for _, h in pairs if h.value is not None and h.stderr is not None]
        assert sum(ratio > 3 for ratio in clear) >= len(clear) // 2  # the bars are short enough to say something


def test_statuses_are_those_of_mrd():
    totals = np.array([0.0, -1e-7, -2.0, -2.0, np.nan])
    table = np.ones((20, 5))
    table[:2, 2] = np.nan  # nine in ten are there
    table[:3, 3] = np.inf
    draws = {(k, 0): table[k][:, None] for k in range(20)} | {(-1, 0): np.stack([totals, np.zeros(5)], axis=1)}
    scores = HessianTrace(draws=20).reduce(draws)
    assert [s.status for s in scores] == ["zero_denominator", "ill_conditioned", "ok", "nonfinite", "nonfinite"]
    assert [s.value for s in scores] == [None, 1, 1, None, None]
    assert [s.n for s in scores] == [20, 20, 18, 17, 20]
