"""What the papers say, as slowly as it can be said: text by text and token by token, without padding, in float64.

Nothing here is shared with the kit but the texts. Gradients are autograd's, of these sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from unlearnkit.data.encode import Encoded

Texts = Sequence[Encoded]


def tokens(model: nn.Module, text: Encoded) -> Iterator[tuple[Tensor, int]]:
    """(logits, label) at each of a text's label tokens."""
    logits = model(input_ids=torch.tensor([text.ids])).logits[0]
    for t in range(text.labels_from, len(text.ids)):
        yield logits[t - 1], text.ids[t]


def per_token(model: nn.Module, texts: Texts, loss: Callable[[Tensor, int], Tensor], skip: int = 0) -> Tensor:
    """The mean of a loss over all label tokens, without the first ones of each text."""
    found = [loss(z, y) for text in texts for t, (z, y) in enumerate(tokens(model, text)) if t >= skip]
    return sum(found, torch.zeros((), dtype=torch.float64)) / len(found)


def probability(z: Tensor, y: int) -> Tensor:
    return z[y].exp() / z.exp().sum()


def nll(z: Tensor, y: int) -> Tensor:
    return -probability(z, y).log()


def crossed(target: Tensor, z: Tensor) -> Tensor:
    """-Σ q_v log p_v."""
    p = z.exp() / z.exp().sum()
    return sum((-target[v] * p[v].log() for v in range(len(z)) if target[v] > 0), torch.zeros((), dtype=torch.float64))


def wga(beta: float) -> Callable[[Tensor, int], Tensor]:
    return lambda z, y: -(probability(z, y).item() ** beta) * nll(z, y)


def satimp(beta1: float, beta2: float) -> Callable[[Tensor, int], Tensor]:
    def loss(z: Tensor, y: int) -> Tensor:
        p = probability(z, y).item()
        return -(p**beta1) * (1 - p) ** beta2 * nll(z, y)

    return loss


def ceu(z: Tensor, y: int) -> Tensor:
    others = [0.0 if v == y else math.exp(z[v].item()) for v in range(len(z))]
    return crossed(torch.tensor(others, dtype=torch.float64) / sum(others), z)


def maximum_entropy(z: Tensor, y: int) -> Tensor:
    uniform = torch.full((len(z),), 1 / len(z), dtype=torch.float64)
    return crossed(uniform, z) - math.log(len(z))


def margin(z: Tensor, y: int) -> Tensor:
    return (z.max() - z.sum() / len(z)) ** 2


def undial(model: nn.Module, start: nn.Module, texts: Texts, beta: float) -> Tensor:
    found = []
    for text in texts:
        for (z, y), (ref, _) in zip(tokens(model, text), tokens(start, text), strict=True):
            lowered = [ref[v].item() - (beta if v == y else 0) for v in range(len(ref))]
            odds = torch.tensor([math.exp(value) for value in lowered], dtype=torch.float64)
            found.append(crossed(odds / odds.sum(), z))
    return sum(found, torch.zeros((), dtype=torch.float64)) / len(found)


F_STAR_OF_G_STAR: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda v: v, lambda u: torch.exp(u - 1)),
    "tv": (lambda v: torch.tanh(v) / 2, lambda u: u),
    "js": (lambda v: math.log(2) - torch.log(1 + torch.exp(-v)), lambda u: -torch.log(2 - torch.exp(u))),
    "pearson": (lambda v: v, lambda u: u**2 / 4 + u),
}
"""g* and f* of an f-divergence, as the paper's table has them."""


def flat(model: nn.Module, answers: Texts, refusals: Texts, divergence: str) -> Tensor:
    g, f = F_STAR_OF_G_STAR[divergence]
    found = []
    for answer, refusal in zip(answers, refusals, strict=True):
        bad, good = (per_token(model, [text], probability) for text in (answer, refusal))
        found.append(-(g(good) - f(g(bad))))
    return sum(found, torch.zeros((), dtype=torch.float64)) / len(found)


def steered(model: nn.Module, texts: Texts, layer: int, target: Callable[[Encoded, int], Tensor]) -> Tensor:
    """Mean over texts of the mean over their label tokens of (h - target(text, token))², averaged over dimensions."""
    found = []
    for text in texts:
        states = hidden(model, text, layer)
        labels = range(text.labels_from, len(text.ids))
        found.append(sum(((states[t] - target(text, t)) ** 2).sum() / states.shape[1] for t in labels) / len(labels))
    return sum(found, torch.zeros((), dtype=torch.float64)) / len(found)


def hidden(model: nn.Module, text: Encoded, layer: int) -> Tensor:
    """States behind decoder block `layer`, counted from 0, [T, H]. The last block has a norm behind it."""
    return model(input_ids=torch.tensor([text.ids]), output_hidden_states=True).hidden_states[layer + 1][0]
