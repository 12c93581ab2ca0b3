"""Log-probabilities of labels against float64 log-softmax over all logits, and against closed forms where certain."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from unlearnkit.contracts import Batch
from unlearnkit.data.collate import collate
from unlearnkit.losses import label_scores
from unlearnkit.testing.material import batch, encoded, padded, tiny_model


def naive(model: nn.Module, at: Batch) -> list[tuple[list[float], list[bool]]]:
    """Per sample: each label's log-probability and whether it is the most likely token."""
    with torch.no_grad():
        logits = model(input_ids=at.ids, attention_mask=at.mask, use_cache=False).logits.double()
    found = []
    for row in range(len(at)):
        positions = [t for t in range(1, at.ids.shape[1]) if at.labels[row, t] != -100]
        tables = [torch.log_softmax(logits[row, t - 1], -1) for t in positions]
        labels = [int(at.labels[row, t]) for t in positions]
        pairs = list(zip(tables, labels, strict=True))
        found.append(([float(table[y]) for table, y in pairs], [int(table.argmax()) == y for table, y in pairs]))
    return found


@pytest.mark.parametrize("precise", [False, True])
def test_scores_are_the_log_softmax_of_all_logits(precise: bool):
    model, at = tiny_model(), batch(6)
    with torch.no_grad():
        scores = label_scores(model, at, precise=precise, correct=True)
    for row, (logprobs, hits) in enumerate(naive(model, at)):
        mask = scores.mask[row]
        torch.testing.assert_close(
            scores.logprobs[row][mask].double(),
            torch.tensor(logprobs, dtype=torch.float64),
            rtol=1e-12 if precise else 1e-5,
            atol=0 if precise else 1e-6,
        )
        assert scores.correct[row][mask].tolist() == hits
        assert int(scores.tokens[row]) == len(logprobs)
        assert float(scores.nll[row]) == pytest.approx(-sum(logprobs), rel=1e-6)
    assert not scores.logprobs[~scores.mask].any() and not scores.correct[~scores.mask].any()


class Columns(nn.Module):
    """A model that can be asked for the logits of columns alone, as transformers' models were once."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_model()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool, logits_to_keep: Tensor) -> object:
        logits = self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache).logits
        return SimpleNamespace(logits=logits[:, logits_to_keep, :])


class Everything(Columns):
    """A model that cannot be asked."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> object:  # type: ignore[override]
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)


@pytest.mark.parametrize("other", [Columns, Everything])
def test_whichever_logits_a_model_can_be_asked_for_the_scores_are_the_same(other: type[Columns]):
    at = batch(6)
    with torch.no_grad():
        expected, found = (label_scores(model, at, precise=True, correct=True) for model in (tiny_model(), other()))
    torch.testing.assert_close(found.logprobs, expected.logprobs, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.mask, expected.mask) and torch.equal(found.correct, expected.correct)


def test_padding_changes_nothing():
    model, at = tiny_model(), batch(5)
    with torch.no_grad():
        plain, wide = (label_scores(model, b, precise=True).nll for b in (at, padded(at, 7)))
        alone = torch.cat([label_scores(model, collate(encoded(5), [i], pad=9), precise=True).nll for i in range(5)])
    torch.testing.assert_close(wide, plain, rtol=1e-6, atol=0)
    torch.testing.assert_close(alone, plain, rtol=1e-6, atol=0)


class Fixed(nn.Module):
    """A model with the logits that it is given, whatever it reads."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits)


def with_gap(gap: float, others: int) -> tuple[Fixed, Batch]:
    """One label whose logit is above `others` equal ones by a gap that float32 holds exactly."""
    logits = torch.zeros(1, 2, others + 1)
    logits[0, 0, 3] = gap
    ids = torch.tensor([[1, 3]])
    return Fixed(logits), Batch(ids, torch.ones_like(ids), torch.tensor([[-100, 3]]), (0,))


@pytest.mark.parametrize("gap", [5.0, 10.0, 17.0, 20.0, 28.0, 40.0])
@pytest.mark.parametrize("others", [7, 49_151])
def test_a_nearly_certain_token_keeps_its_digits(gap: float, others: int):
    """-log p = log(1 + V e^-gap), to 1e-12 relative, whether p is near 1 or not."""
    model, at = with_gap(gap, others)
    exact = torch.log1p(others * torch.tensor(-gap, dtype=torch.float64).exp()).item()
    nll = float(label_scores(model, at, precise=True).nll)
    assert nll > 0
    assert nll == pytest.approx(exact, rel=1e-12)


def test_plain_float32_loses_what_precise_keeps():
    model, at = with_gap(28.0, 7)
    assert float(label_scores(model, at).nll) == 0
    assert float(label_scores(model, at, precise=True).nll) > 0


@pytest.mark.parametrize("precise", [False, True])
def test_the_gradient_is_softmax_minus_one_at_the_label(precise: bool):
    logits = torch.randn(1, 3, 9, generator=torch.Generator().manual_seed(3), requires_grad=True)
    ids = torch.tensor([[1, 4, 6]])
    at = Batch(ids, torch.ones_like(ids), torch.tensor([[-100, 4, 6]]), (0,))
    label_scores(Fixed(logits), at, precise=precise).nll.sum().backward()
    expected = torch.softmax(logits.detach(), -1)
    expected[0, 0, 4] -= 1
    expected[0, 1, 6] -= 1
    expected[0, 2] = 0
    torch.testing.assert_close(logits.grad, expected)
