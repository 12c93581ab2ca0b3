import torch
from unlearnkit_example import ClippedGradDiff

from unlearnkit.testing import AlgorithmContract, material


class TestClippedGradDiff(AlgorithmContract):
    plugin = ClippedGradDiff


def test_only_samples_below_the_cap_are_pushed():
    step = material.step(ClippedGradDiff())
    scores = step.scores(step.forget)
    losses = (scores.nll / scores.tokens).detach()
    cap = float(losses.median())
    scores.logprobs.retain_grad()
    ClippedGradDiff(cap=cap).losses(step)["forget"].values.sum().backward()
    assert torch.equal(scores.logprobs.grad.any(-1), losses <= cap)
