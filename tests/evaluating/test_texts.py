"""What is read of texts with a shared beginning is what is read of them whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from architectures import LLAMA, MODELS, made, renamed
from held import Held
from torch import nn

from unlearnkit.contracts import TokenScores
from unlearnkit.data.encode import Encoded
from unlearnkit.evaluating.branches import rows
from unlearnkit.evaluating.cache import ROOM
from unlearnkit.evaluating.generation import continuations
from unlearnkit.evaluating.texts import BEGINNINGS, WORTH, Reader, beginning
from unlearnkit.past import NAMES, past_of


def asked(n: int = 5, answers: int = 3) -> list[list[Encoded]]:
    """n questions of 9 to 20 tokens, each with some answers of 2 to 8 that have nothing in common."""
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(n):
        prompt = rng.integers(1, 64, rng.integers(9, 21)).tolist()
        lengths = rng.integers(2, 9, answers)
        groups.append([Encoded((*prompt, *rng.integers(1, 64, n).tolist()), len(prompt)) for n in lengths])
    return groups


def alike(n: int = 3) -> list[list[Encoded]]:
    """n questions, each with answers that part from one another late, early and at once, one that is the beginning of
    another, and one twice."""
    rng = np.random.default_rng(1)
    groups = []
    for _ in range(n):
        prompt = rng.integers(1, 64, rng.integers(9, 21)).tolist()
        stem = rng.integers(1, 64, 12).tolist()
        answers = [
            stem,
            [*stem[:9], 60, 61],
            [*stem[:9], 62],
            [*stem[:4], 7, 8, 9, 10],
            [*stem[:4], 7, 8, 11],
            stem[:6],
        ]
        answers += [[33, 34], stem]
        groups.append([Encoded((*prompt, *answer), len(prompt)) for answer in answers])
    return groups


def templated(n: int = 5) -> list[list[Encoded]]:
    """Questions that all begin with the same 12 tokens, as behind a system prompt, one of which is no longer than that
    and one more."""
    same = np.random.default_rng(2).integers(1, 64, 12).tolist()
    groups = [[Encoded((*same, *text.ids), len(same) + text.labels_from) for text in group] for group in asked(n)]
    return [*groups, [Encoded((*same, 3, answer), len(same) + 1) for answer in (4, 5)]]


def naive(model: nn.Module, text: Encoded) -> dict[str, np.ndarray]:
    """One text by itself: whole logits in float64, and sums over the vocabulary written out."""
    with torch.no_grad():
        logits = model(torch.tensor([text.ids])).logits[0, :-1].double()
    log_p = torch.log_softmax(logits, -1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(-1)
    spread = ((p * log_p**2).sum(-1) - entropy**2).sqrt()
    labels = torch.tensor(text.ids[1:])
    rows = slice(max(text.labels_from, 1) - 1, None)
    return {
        "logprobs": log_p.gather(-1, labels[:, None])[rows, 0].numpy(),
        "correct": (logits.argmax(-1) == labels)[rows].numpy(),
        "entropy": entropy[rows].numpy(),
        "spread": spread[rows].numpy(),
    }


def passes(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what the model reads from here on."""
    shapes: list[tuple[int, ...]] = []
    kind, forward = type(model), type(model).forward

    def watched(self: Any, input_ids: Any = None, **more: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(self, input_ids=input_ids, **more)

    watched.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    watched.__wrapped__ = forward  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "forward", watched)
    return shapes


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("groups", [[*asked(), *alike(), [Encoded((5, 6, 7), 0)], []], templated()], ids=["", "alike"])
def test_every_text_is_what_it_is_by_itself(name: str, batch_size: int, groups: list[list[Encoded]]):
    """With rotary, learned and relative positions, windows, and states that are no keys and values."""
    model = MODELS[name]()
    found = Reader(model, 0, batch_size=batch_size).read(groups, vocabulary=True)
    assert [len(group) for group in found] == [len(group) for group in groups]
    for group, texts in zip(found, groups, strict=True):
        for scores, text in zip(group, texts, strict=True):
            for what, expected in naive(model, text).items():
                np.testing.assert_allclose(getattr(scores, what), expected, rtol=0, atol=5e-5, err_msg=what)


@pytest.mark.parametrize(
    ("name", "shares"), [("llama", True), ("gpt2", True), ("gemma2", False), ("gpt_neo", False), ("mamba", False)]
)
def test_a_beginning_is_run_once_where_the_model_keeps_keys_and_values(
    name: str, shares: bool, monkeypatch: pytest.MonkeyPatch
):
    model, groups = MODELS[name](), asked(n=4, answers=7)
    reader = Reader(model, 0, batch_size=28)
    reader.read(groups)  # tries whether sharing gives the same
    shapes = passes(model, monkeypatch)
    reader.read(groups)
    heads = [beginning(group) for group in groups]
    if shares:
        assert shapes[0] == (4, max(heads)) and len(shapes) == 2
        assert shapes[1][0] <= 28
        # Each beginning of a text stands once, in a row as long as the longest.
        places = [sum(len(row) for row in rows(group, head, 28)) for group, head in zip(groups, heads, strict=True)]
        assert sum(places) <= shapes[1][0] * shapes[1][1]
    else:
        assert shapes == [(28, max(len(text) for group in groups for text in group))]


@pytest.mark.parametrize("batch_size", [3, 4])
def test_what_all_questions_begin_with_is_run_once(batch_size: int, monkeypatch: pytest.MonkeyPatch):
    model, groups = MODELS["llama"](), templated(n=9)
    reader = Reader(model, 0, batch_size)
    reader.read(groups)
    shapes = passes(model, monkeypatch)
    reader.read(groups, keep=True)
    assert reader.begun is not None
    heads = sorted(beginning(group) for group in groups)
    assert heads[0] == 12, "the shortest is no more than what all begin with"
    many = BEGINNINGS * batch_size
    assert shapes[0] == (1, 11)
    expected = [heads[i : i + many] for i in range(0, len(heads), many)]
    assert shapes[1 : 1 + len(expected)] == [(len(some), some[-1] - 11) for some in expected]


@pytest.mark.parametrize("alike", [WORTH - 1, WORTH])
def test_what_all_questions_begin_with_is_run_by_itself_where_it_is_long(alike: int, monkeypatch: pytest.MonkeyPatch):
    model, groups = MODELS["llama"](), asked()
    begins = [(*[60] * alike, number) for number in range(len(groups))]
    groups = [
        [Encoded((*own, *text.ids), len(own) + text.labels_from) for text in group]
        for own, group in zip(begins, groups, strict=True)
    ]
    reader = Reader(model, 0, batch_size=8)
    reader.read(groups)
    shapes = passes(model, monkeypatch)
    reader.read(groups)
    longest = max(beginning(group) for group in groups)
    assert shapes[0] == ((1, alike) if alike == WORTH else (len(groups), longest))


def test_what_texts_go_on_with_alike_is_read_once(monkeypatch: pytest.MonkeyPatch):
    model, groups = MODELS["llama"](), alike(n=1)
    reader = Reader(model, 0, batch_size=8)
    reader.read(groups)
    shapes = passes(model, monkeypatch)
    reader.read(groups)
    (texts,), head = groups, beginning(groups[0])
    beginnings = {text.ids[head:end] for text in texts for end in range(head + 1, len(text))}
    assert shapes[1] == (1, len(beginnings))
    assert len(beginnings) < sum(len(text) - head for text in texts) / 2


def test_texts_with_little_in_common_have_rows_of_their_own():
    texts = [Encoded((1, 2, *answer), 2) for answer in ([3, 4, 5, 6], [3, 4, 5, 7], [8, 9, 9, 9, 9, 9], [8, 8])]
    assert [sorted(row.labels) for row in rows(texts, 2, 4)] == [[0, 1], [3], [2]]
    assert [sorted(row.labels) for row in rows(texts, 2, 1)] == [[0], [1], [3], [2]]


def test_a_beginning_ends_where_texts_part_and_before_a_label_is_predicted():
    same = (1, 2, 3, 4, 5)
    assert beginning([Encoded((*same, 6, 7), 5), Encoded((*same, 8), 5)]) == 4
    assert beginning([Encoded((1, 2, 9, 4, 5, 6), 5), Encoded((*same, 8), 5)]) == 2
    assert beginning([Encoded(same, 0), Encoded(same, 0)]) == 0


def test_without_the_vocabulary_nothing_is_said_of_it():
    [[scores]] = Reader(MODELS["llama"](), 0, batch_size=4).read([[Encoded((1, 2, 3), 1)]])
    assert scores.entropy is None and scores.spread is None


def test_a_model_that_is_wrong_with_a_cache_reads_texts_whole(monkeypatch: pytest.MonkeyPatch):
    forward = tf.LlamaForCausalLM.forward

    def forgets(self: Any, *args: Any, **more: Any) -> Any:
        if any(name in more for name in NAMES):
            more["position_ids"] = torch.zeros_like(more["position_ids"])
        return forward(self, *args, **more)

    forgets.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    model, groups = MODELS["llama"](), asked()
    expected: Sequence[Sequence[TokenScores]] = Reader(model, 0, batch_size=1).read([[t] for g in groups for t in g])
    monkeypatch.setattr(tf.LlamaForCausalLM, "forward", forgets)
    found = Reader(model, 0, batch_size=4).read(groups)
    for (one,), other in zip(expected, (scores for group in found for scores in group), strict=True):
        np.testing.assert_allclose(other.logprobs, one.logprobs, rtol=0, atol=5e-5)


def test_keys_and_values_of_beginnings_are_held_once():
    """More than once is a layer of them, and what the rows of one pass take."""
    rng, n, tokens, batch_size = np.random.default_rng(3), 8, 200, 2
    assert n > BEGINNINGS * batch_size, "they are run in more than one pass"
    model = made(tf.LlamaConfig, **{**LLAMA, "max_position_embeddings": 512}, head_dim=128, num_hidden_layers=8)
    heads = [rng.integers(1, 64, tokens).tolist() for _ in range(n)]
    groups = [[Encoded((*head, 1, answer), tokens) for answer in (2, 3)] for head in heads]
    reader = Reader(model, 0, batch_size)
    reader.read(groups[:2])  # tries whether sharing gives the same
    whole = past_of(model(torch.tensor([heads[0]]), use_cache=True))
    once = n * sum(layer.keys.nbytes + layer.values.nbytes for layer in whole.layers)
    with Held() as held:
        reader.read(groups)
        assert held.most < (1 + batch_size / n + 3 / 8) * once
        assert reader.begun is None and held.now < 0.01 * once
        reader.read(groups, keep=True)
        assert once * 0.99 < held.now < once * 1.01
        held.most = 0
        continuations(model, heads, limit=3, end=None, pad=0, begun=reader.begun, known={0: [1]})
        assert held.most < (1 + 1 / 8) * once * (tokens + 1 + ROOM) / tokens


def test_what_is_kept_is_handed_over_by_the_name_that_the_model_has_for_it(monkeypatch: pytest.MonkeyPatch):
    model, groups = MODELS["llama"](), asked()
    expected = [naive(model, text)["logprobs"] for group in groups for text in group]
    renamed(model, monkeypatch)
    reader = Reader(model, 0, batch_size=4)
    found = reader.read(groups, keep=True)
    assert reader.begun is not None
    for one, own in zip((scores for group in found for scores in group), expected, strict=True):
        np.testing.assert_allclose(one.logprobs, own, rtol=0, atol=5e-5)


def refusing(model: nn.Module, monkeypatch: pytest.MonkeyPatch, dims: int, error: Exception) -> None:
    """The model raises where it is handed what it has kept, with an attention mask of so many dimensions."""
    kind, forward = type(model), type(model).forward

    def refuses(self: Any, attention_mask: Any = None, **more: Any) -> Any:
        if any(name in more for name in NAMES) and attention_mask.dim() == dims:
            raise error
        return forward(self, attention_mask=attention_mask, **more)

    refuses.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    refuses.__wrapped__ = forward  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "forward", refuses)


def test_what_was_not_tried_is_not_trusted(monkeypatch: pytest.MonkeyPatch):
    """A model that cannot run beginnings behind another one shares where there is none, before and after."""
    model, groups = MODELS["llama"](), templated()
    expected = [[naive(model, text)["logprobs"] for text in group] for group in groups]
    refusing(model, monkeypatch, 2, RuntimeError("no such mask"))
    reader = Reader(model, 0, batch_size=4)
    for some, shares in ((slice(1), True), (slice(None), False), (slice(1), True)):
        found = reader.read(groups[some], keep=True)
        assert (reader.begun is not None) == shares
        for scores, own in zip(found, expected[some], strict=True):
            for one, other in zip(scores, own, strict=True):
                np.testing.assert_allclose(one.logprobs, other, rtol=0, atol=5e-5)


def test_the_first_samples_are_tried_in_the_way_of_all(monkeypatch: pytest.MonkeyPatch):
    """They begin alike, and not like the last one."""
    model, groups = MODELS["llama"](), [*templated(n=2)[:2], *asked(n=1)]
    shapes = passes(model, monkeypatch)
    Reader(model, 0, batch_size=4).read(groups)
    assert shapes[0] == (2, max(beginning(group) for group in groups[:2]))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError()])
def test_having_no_memory_is_no_answer(error: Exception, monkeypatch: pytest.MonkeyPatch):
    model = MODELS["llama"]()
    refusing(model, monkeypatch, 4, error)
    with pytest.raises(type(error)):
        Reader(model, 0, batch_size=4).read(asked())
