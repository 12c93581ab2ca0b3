"""Losses over other answers and against whole distributions, text by text and token by token, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from unlearnkit.data.encode import Encoded

from .naive_tokens import nll, tokens

Texts = Sequence[Encoded]
ZERO = torch.zeros((), dtype=torch.float64)


def mean(values: Sequence[Tensor]) -> Tensor:
    return sum(values, ZERO) / len(values)


def sequence_nll(model: nn.Module, text: Encoded) -> Tensor:
    return sum((nll(z, y) for z, y in tokens(model, text)), ZERO)


def mean_nll(model: nn.Module, text: Encoded) -> Tensor:
    return sequence_nll(model, text) / (len(text.ids) - text.labels_from)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def preference(model: nn.Module, start: nn.Module, better: Texts, worse: Texts, beta: float) -> Tensor:
    """The mean of -(2/β) log σ(β [log p(y')/p_ref(y') - log p(y)/p_ref(y)])."""
    found = []
    for win, lose in zip(better, worse, strict=True):
        ratios = [sequence_nll(start, text).detach() - sequence_nll(model, text) for text in (win, lose)]
        found.append(-2 / beta * sigmoid(beta * (ratios[0] - ratios[1])).log())
    return mean(found)


def negative_preference(model: nn.Module, start: nn.Module, worse: Texts, beta: float) -> Tensor:
    """The mean of -(2/β) log σ(-β log p(y)/p_ref(y))."""
    ratios = [sequence_nll(start, text).detach() - sequence_nll(model, text) for text in worse]
    return mean([-2 / beta * sigmoid(-beta * ratio).log() for ratio in ratios])


def answer_preservation(model: nn.Module, answers: Texts, refusals: Texts, beta: float) -> Tensor:
    """The mean of -(1/β) log σ(β log p(answer)/p(refusal))."""
    found = []
    for answer, refusal in zip(answers, refusals, strict=True):
        ratio = -sequence_nll(model, answer) + sequence_nll(model, refusal)
        found.append(-1 / beta * sigmoid(beta * ratio).log())
    return mean(found)


def shares(z: Tensor) -> Tensor:
    return z.exp() / z.exp().sum()


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Σ_v p_v log(p_v / q_v), with 0 log 0 = 0."""
    return sum((p[v] * (p[v] / q[v]).log() for v in range(len(p)) if p[v] > 0), ZERO)


def js(p: Tensor, q: Tensor) -> Tensor:
    m = (p + q) / 2
    return kl(p, m) / 2 + kl(q, m) / 2


def against_start(
    model: nn.Module, start: nn.Module, texts: Texts, divergence: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The mean of divergence(p_ref, p) over all label tokens."""
    return mean(
        [
            divergence(shares(ref).detach(), shares(z))
            for text in texts
            for (z, _), (ref, _) in zip(tokens(model, text), tokens(start, text), strict=True)
        ]
    )


def towards_one_hot(z: Tensor, y: int) -> Tensor:
    return js(shares(z), torch.eye(len(z), dtype=torch.float64)[y])
