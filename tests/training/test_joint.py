"""Texts that go through the model together: the cut is the best of all, and no number depends on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unlearnkit.losses import label_logits, label_scores
from unlearnkit.testing.material import batch, padded, tiny_model
from unlearnkit.training import joint
from unlearnkit.training.joint import arranged, cut, joined
from unlearnkit.training.step import Passes


def positions(parts: list[list[int]], lengths: list[int]) -> int:
    return sum(len(part) * max(lengths[i] for i in part) for part in parts)


@pytest.mark.parametrize("seed", range(20))
def test_no_cut_of_any_two_parts_saves_more(seed: int):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 30, int(rng.integers(1, 9))).tolist()
    parts, n = cut(lengths), len(lengths)
    assert sorted(i for part in parts for i in part) == list(range(n))
    subsets = [[i for i in range(n) if bits >> i & 1] for bits in range(1, 2**n - 1)]
    best = min((positions([s, [i for i in range(n) if i not in s]], lengths) for s in subsets), default=10**9)
    whole = n * max(lengths)
    assert positions(parts, lengths) == (best if best <= (1 - joint.WORTH) * whole else whole)


def test_what_is_found_belongs_to_the_batch_that_asks():
    """Against each batch alone: short and long texts, with padding to spare."""
    model = tiny_model()
    batches = [padded(batch(4, seed=1), 5), batch(3, seed=2), batch(5, seed=4)]
    assert len(arranged(batches).pieces) == 2, "they are cut"
    together = Passes(model, batches)
    for one in batches:
        alone, logits = label_scores(model, one), label_logits(model, one)
        torch.testing.assert_close(together.scores(one).logprobs, alone.logprobs, rtol=1e-5, atol=1e-5)
        assert torch.equal(together.scores(one).mask, alone.mask)
        torch.testing.assert_close(together.logits(one).values, logits.values, rtol=1e-4, atol=1e-5)
        assert torch.equal(together.logits(one).targets, logits.targets)
        assert torch.equal(together.logits(one).sample, logits.sample)


def test_a_gradient_goes_back_through_both_pieces():
    batches = [padded(batch(4, seed=1), 5), batch(3, seed=2)]
    gradients = []
    for company in (batches, []):
        model = tiny_model()
        passes = Passes(model, company)
        parts = [(i + 1) * passes.scores(one).nll.sum() for i, one in enumerate(batches)]
        parts += [passes.logits(one).values.square().mean() for one in batches]
        torch.autograd.backward(torch.stack(parts).sum())
        gradients.append([p.grad for p in model.parameters()])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_batch_alone_is_itself():
    one = batch(4, seed=1)
    assert joined([one]) is one


def test_a_mask_with_holes_does_not_shorten_a_text():
    """As OpenUnlearning's has, whose padding is the end token: `ids != pad`."""
    model = tiny_model()
    whole = batch(4, seed=1)
    mask = whole.mask.clone()
    mask[:, 2] = 0
    holed, other = replace(whole, mask=mask), padded(batch(3, seed=2), 5)
    together = Passes(model, [holed, other])
    torch.testing.assert_close(
        together.scores(holed).logprobs, label_scores(model, holed).logprobs, rtol=1e-5, atol=1e-5
    )
