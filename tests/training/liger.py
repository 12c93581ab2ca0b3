"""What `test_fused.py` runs in a process of its own: liger-kernel's kernel, on a GPU, or interpreted on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.test_fused import Widths, assert_trains_alike, gemma, trainer, with_bias
from unlearnkit.contracts import Batch
from unlearnkit.testing.material import batch, tiny_model
from unlearnkit.training.fused import Fused, liger, tried
from unlearnkit.training.step import Passes

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients_against_float64(biased: bool):
    """37 tokens in several chunks, each with a gradient of its own, some of it negative and some 0."""
    generator = torch.Generator().manual_seed(3)
    states, weight = (torch.randn(n, 16, generator=generator) for n in (37, 101))
    bias = [torch.randn(101, generator=generator)] if biased else []
    targets = torch.randint(101, (37,), generator=generator)
    upstream = torch.randn(37, generator=generator)
    upstream[5:9] = 0
    leaves = [t.to(DEVICE).requires_grad_() for t in (states, weight, *bias)]
    found = liger()(leaves[0], leaves[1], leaves[2] if biased else None, targets.to(DEVICE))
    found.backward(upstream.to(DEVICE))

    exact = [t.detach().double().requires_grad_() for t in (states, weight, *bias)]
    logits = exact[0] @ exact[1].T + (exact[2] if biased else 0)
    expected = logits[torch.arange(37), targets] - logits.exp().sum(-1).log()
    expected.backward(upstream.double())
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(leaves, exact, strict=True):
        torch.testing.assert_close(mine.grad.cpu().double(), theirs.grad, rtol=1e-4, atol=1e-5)


def test_it_makes_a_chunk_of_logits_at_a_time():
    at = here(batch(6))
    with Widths() as widths:
        Passes(gemma(None).to(DEVICE), [at], cuts=False, look=Fused(liger())).scores(at).nll.square().sum().backward()
    assert 0 < widths.rows < int((at.labels[:, 1:] != -100).sum())


def here(at: Batch) -> Batch:
    return replace(at, ids=at.ids.to(DEVICE), mask=at.mask.to(DEVICE), labels=at.labels.to(DEVICE))


@pytest.mark.parametrize("model", [tiny_model, with_bias])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_used_where_it_may_be(model: Callable[[], nn.Module], dtype: torch.dtype):
    kernel = liger()
    assert tried(model().to(DEVICE, dtype), kernel, here(batch(2))) == Fused(kernel)


def test_it_takes_no_float64_model():
    assert tried(tiny_model().to(DEVICE).double(), liger(), here(batch(2))) is None


@pytest.mark.parametrize(("precision", "rel"), [("fp32", 1e-4), ("mixed-bf16", 2e-2), ("bf16", 2e-2)])
def test_training_with_it_is_as_without(precision: str, rel: float):
    """bfloat16 has 8 bits, and rounds after other operations."""
    fused, plain = (trainer(fused=fused, precision=precision, device=DEVICE) for fused in (True, False))
    assert_trains_alike(fused, plain, rel)
