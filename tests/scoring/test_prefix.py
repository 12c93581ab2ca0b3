"""A shared prefix changes what is computed, and no more than rounding of what comes out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from architectures import MODELS, renamed
from torch import nn

from unlearnkit.contracts import Batch
from unlearnkit.data.collate import collate, plan
from unlearnkit.data.encode import Encoded
from unlearnkit.losses import label_scores
from unlearnkit.scorers.noise import NoisyWeights
from unlearnkit.scoring import ModelBench, Work
from unlearnkit.scoring.prefix import Prefix
from unlearnkit.testing.material import tiny_model

PREFIX = tuple(range(1, 31))
"""Tokens before what a sample asks."""


def texts(n: int = 12, prefix: tuple[int, ...] = PREFIX) -> list[Encoded]:
    """n texts with the same beginning, 3 to 8 tokens of their own and as many labels."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        prompt, answer = rng.integers(3, 9, 2)
        ids = (*prefix, 31 + i % 2, *rng.integers(1, 64, prompt + answer))
        found.append(Encoded(tuple(map(int, ids)), len(prefix) + 1 + int(prompt)))
    return found


def bench(model: nn.Module, encoded: list[Encoded]) -> ModelBench:
    return ModelBench.of(Work([], encoded, pad=0, seed=0, batch_size=4), model.eval())


def batches(on: ModelBench) -> list[Batch]:
    return [batch for shard in on.shards for batch in shard]


@pytest.mark.parametrize(("name", "shares"), [
    ("llama", True), ("gpt2", True), ("opt", True), ("bloom", True), ("gemma2", False), ("mamba", False),
])  # fmt: skip
def test_log_probabilities_are_those_of_the_plain_pass(name: str, shares: bool):
    """With rotary, learned and relative positions; windows and states that are no keys and values are left alone."""
    model = MODELS[name]()
    on = bench(model, texts())
    assert (on._prefix is not None) == shares
    for batch in batches(on):
        with torch.no_grad():
            plain = label_scores(model, batch, precise=True)
        found = on.scores(batch)
        assert torch.equal(found.mask, plain.mask)
        torch.testing.assert_close(found.logprobs, plain.logprobs, rtol=0, atol=3e-5)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shapes of what models are asked to read, from here on."""
    shapes: list[tuple[int, int]] = []
    forward = tf.LlamaModel.forward

    def watched(self: Any, input_ids: Any = None, **more: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(self, input_ids=input_ids, **more)

    monkeypatch.setattr(tf.LlamaModel, "forward", watched)
    return shapes


def test_the_prefix_is_read_once_for_each_state_of_the_weights(read: list[tuple[int, int]]):
    model = tiny_model()
    on = bench(model, texts())
    read.clear()

    def sweep() -> Sequence[torch.Tensor]:
        return [on.scores(batch).logprobs for batch in batches(on)]

    rest = [(len(b), b.ids.shape[1] - len(PREFIX)) for b in batches(on)]
    first = sweep()
    assert read == rest, "the bench had tried it"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.01)
    changed = sweep()
    assert read == [*rest, (1, len(PREFIX)), *rest]
    for batch, before, after in zip(batches(on), first, changed, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(after, label_scores(model, batch, precise=True).logprobs, rtol=0, atol=3e-5)
        assert not torch.equal(before, after)


def test_noise_put_on_mirrored_and_taken_off_is_noticed():
    """NoisyWeights writes through views of the parameters."""
    model = tiny_model()
    on = bench(model, texts())
    batch = batches(on)[0]
    weights = NoisyWeights(model, seed=1, sigma=0.05)
    before = on.scores(batch).logprobs
    for sign in (1, -1):
        weights.set(0, sign)
        with torch.no_grad():
            plain = label_scores(model, batch, precise=True).logprobs
        torch.testing.assert_close(on.scores(batch).logprobs, plain, rtol=0, atol=3e-5)
        assert float((plain - before).abs().max()) > 0.01
    weights.restore()
    assert torch.equal(on.scores(batch).logprobs, before)


def test_another_model_has_a_prefix_of_its_own():
    model = tiny_model().eval()
    on = bench(model, texts())
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.layers[0].self_attn.k_proj.weight.add_(0.1)
    batch = batches(on)[0]
    with torch.no_grad():
        expected = label_scores(other, batch, precise=True).logprobs
    torch.testing.assert_close(on.over(other).scores(batch).logprobs, expected, rtol=0, atol=3e-5)


def test_bits_do_not_depend_on_what_was_measured_before():
    model, encoded = tiny_model(), texts()
    on = bench(model, encoded)
    forth = {batch.rows: on.scores(batch).logprobs for batch in batches(on)}
    again = bench(model, encoded)
    for batch in reversed(batches(again)):
        assert torch.equal(again.scores(batch).logprobs, forth[batch.rows])


def test_a_batch_that_begins_otherwise_is_read_whole():
    model, encoded = tiny_model().eval(), texts()
    on = bench(model, encoded)
    assert on._prefix is not None
    others = texts(3, prefix=PREFIX[::-1])
    (rows,) = plan(others, 4)
    batch = collate(others, rows, pad=0)
    with torch.no_grad():
        assert torch.equal(on.scores(batch).logprobs, label_scores(model, batch, precise=True).logprobs)


def prefix(encoded: list[Encoded]) -> int:
    """Tokens that are shared."""
    rows = plan(encoded, 4)
    found = Prefix.of(tiny_model().eval(), [collate(encoded, some, pad=0) for some in rows])
    return 0 if found is None else found.ids.shape[1]


def test_it_is_handed_over_by_the_name_that_the_model_has_for_it(monkeypatch: pytest.MonkeyPatch):
    model, encoded = tiny_model(), texts()
    with torch.no_grad():
        plain = [label_scores(model, batch, precise=True).logprobs for batch in batches(bench(model, encoded))]
    renamed(model, monkeypatch)
    on = bench(model, encoded)
    assert on._prefix is not None
    for batch, expected in zip(batches(on), plain, strict=True):
        torch.testing.assert_close(on.scores(batch).logprobs, expected, rtol=0, atol=3e-5)


def test_it_ends_before_a_label_is_predicted_and_where_samples_part():
    assert prefix(texts()) == len(PREFIX)
    same = [Encoded((*PREFIX, 5, 6, 7 + i), len(PREFIX) + 2) for i in range(12)]
    assert prefix(same) == len(PREFIX) + 1
    assert prefix([*same[:-1], Encoded((*PREFIX, 5, 6, 7), len(PREFIX))]) == len(PREFIX) - 1


def test_what_saves_little_is_not_done():
    assert prefix(texts(8)) == 0  # 8 · 30 tokens
    assert prefix(texts(9)) == len(PREFIX)
    assert prefix(texts(40, prefix=PREFIX[:5])) == 0
    assert prefix([e.labelled_whole() for e in texts()]) == 0


def test_a_model_that_is_wrong_with_a_cache_is_read_whole(monkeypatch: pytest.MonkeyPatch):
    forward = tf.LlamaModel.forward

    def forgets_where_it_is(self: Any, input_ids: Any, past_key_values: Any = None, **more: Any) -> Any:
        positions = torch.arange(input_ids.shape[1])[None]
        return forward(self, input_ids=input_ids, past_key_values=past_key_values, **more | {"position_ids": positions})

    monkeypatch.setattr(tf.LlamaModel, "forward", forgets_where_it_is)
    assert prefix(texts()) == 0
