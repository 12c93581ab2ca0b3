"""What a model says in a batch that shrinks is what it says alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from architectures import HYBRIDS, MODELS, renamed

from unlearnkit.contracts import TokenScores
from unlearnkit.data.encode import Encoded
from unlearnkit.evaluating import Evaluator
from unlearnkit.evaluating.generation import by_heart, caches, continuations
from unlearnkit.evaluating.texts import BEGINNINGS, WORTH, Reader

END = 63


def prompts(n: int = 12) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [rng.integers(1, 60, rng.integers(1, 24)).tolist() for _ in range(n)]


def alone(model: Any, prompt: list[int], limit: int, end: int) -> list[int]:
    """Greedy decoding without a cache: the whole text is read again for each token."""
    said: list[int] = []
    while len(said) < limit:
        with torch.no_grad():
            token = int(model(torch.tensor([prompt + said])).logits[0, -1].argmax())
        if token == end:
            break
        said.append(token)
    return said


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mamba"])
def test_every_prompt_is_continued_as_by_itself(name: str):
    model = MODELS[name]()
    texts = prompts()
    free = [alone(model, text, 10, -1) for text in texts]
    end = max({t for said in free for t in said}, key=lambda t: sum(t in said for said in free))
    expected = [alone(model, text, 10, end) for text in texts]
    assert len({len(said) for said in expected}) > 1, "some end before others"
    assert continuations(model, texts, limit=10, end=end, pad=0) == expected


@pytest.mark.parametrize("name", MODELS)
def test_many_at_once_are_asked_of_models_that_keep_keys_and_values(name: str):
    assert caches(MODELS[name]()) == (name != "mamba")


@pytest.mark.parametrize("name", HYBRIDS)
def test_a_model_that_keeps_states_is_asked_alone(name: str):
    """Some end before others, so rows would have to be taken from what it keeps."""
    model, texts = HYBRIDS[name](), prompts(5)
    free = [alone(model, text, 8, -1) for text in texts]
    evaluator = Evaluator(model, Numbers(free[0][3]), batch_size=4)  # type: ignore[arg-type]
    expected = [alone(model, text, 8, free[0][3]) for text in texts]
    assert len({len(said) for said in expected}) > 1
    said = evaluator.generate([Encoded(tuple(text), len(text)) for text in texts], 8)
    assert said == [" ".join(map(str, own)) for own in expected]


def test_what_is_kept_is_handed_over_by_the_name_that_the_model_has_for_it(monkeypatch: pytest.MonkeyPatch):
    model, texts = MODELS["llama"](), prompts()
    expected = [alone(model, text, 6, -1) for text in texts]
    renamed(model, monkeypatch)
    assert caches(model)
    assert continuations(model, texts, limit=6, end=-1, pad=0) == expected


def test_what_has_ended_is_not_read_any_more(monkeypatch: pytest.MonkeyPatch):
    model = MODELS["llama"]()
    texts = prompts()
    rows: list[int] = []
    forward = type(model).forward

    def watched(self: Any, input_ids: Any = None, **more: Any) -> Any:
        rows.append(len(input_ids))
        return forward(self, input_ids=input_ids, **more)

    watched.__signature__ = __import__("inspect").signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "forward", watched)
    n = len(texts) - 1
    ends = {row: row + 1 for row in range(len(texts))}  # prompt 0 says one token, prompt 1 two, …
    turn = iter(range(100))

    def choose(logits: torch.Tensor, going: Any) -> torch.Tensor:
        now = next(turn)
        return torch.tensor([END if now == ends[row] else 1 for row in going])

    found = continuations(model, texts, limit=50, end=END, pad=0, choose=choose)
    assert [len(tokens) for tokens in found] == list(ends.values())
    assert rows == [n + 1, *range(n + 1, 0, -1)]


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_a_prompt_that_was_run_for_its_answers_is_gone_on_from(name: str):
    model = MODELS[name]()
    texts = [text for text in prompts() if len(text) > WORTH]
    groups = [[Encoded((*text, a), len(text)) for a in (1, 2)] for text in texts]
    reader = Reader(model, 0, batch_size=4)
    scores = reader.read(groups, keep=True)
    assert reader.begun is not None and sorted(reader.begun.of) == list(range(len(texts)))
    said = continuations(model, texts, limit=10, end=END, pad=0, begun=reader.begun)
    assert said == [alone(model, text, 10, END) for text in texts]
    reader.batch_size = 1
    assert len(texts) > BEGINNINGS, "they are run in more than one pass"
    again = reader.read(groups, keep=True)
    for a, b in zip(scores, again, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x.logprobs, y.logprobs, rtol=1e-4, atol=1e-5)
    assert continuations(model, texts, limit=10, end=END, pad=0, begun=reader.begun) == said


class Numbers:
    """A tokenizer whose texts are ids."""

    pad_token_id = 0

    def __init__(self, end: int = END) -> None:
        self.eos_token_id = end

    def batch_decode(self, said: list[list[int]], **_: object) -> list[str]:
        return [" ".join(str(token) for token in ids if token != self.eos_token_id) for ids in said]


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_tokens_are_picked_as_is_asked_whatever_the_model_keeps(name: str):
    """The third likeliest, then the second, then the first, and again: by each prompt's own count."""
    model, texts = MODELS[name](), prompts(3)

    def pick() -> Any:
        turns = [0] * len(texts)

        def choose(logits: torch.Tensor, rows: Any) -> torch.Tensor:
            chosen = []
            for row, own in zip(rows, logits, strict=True):
                chosen.append(int(own.topk(3).indices[2 - turns[row] % 3]))
                turns[row] += 1
            return torch.tensor(chosen)

        return choose

    expected, choose = [], pick()
    for row, text in enumerate(texts):
        said: list[int] = []
        while len(said) < 7:
            with torch.no_grad():
                token = int(choose(model(torch.tensor([text + said])).logits[:, -1], [row]))
            if token == END:
                break
            said.append(token)
        expected.append(" ".join(map(str, said)))
    evaluator = Evaluator(model, Numbers(), batch_size=2)  # type: ignore[arg-type]
    asked = [Encoded(tuple(text), len(text)) for text in texts]
    assert evaluator.generate(asked, 7, choose=pick()) == expected
    assert expected != evaluator.generate(asked, 7)


@pytest.mark.parametrize("end", [None, "an end"])
def test_what_a_model_was_seen_to_know_by_heart_is_what_it_says(end: str | None):
    """Its own words are read as answers, some of them with a word changed or the end left out."""
    model, limit = MODELS["llama"](), 6
    texts = prompts()
    stop = -1 if end is None else alone(model, texts[0], 4, -1)[3]
    own = [alone(model, text, limit, stop) for text in texts]
    answers = [[*said, stop] if len(said) < limit else said for said in own]
    answers[1] = [*answers[1][:-1], (answers[1][-1] + 1) % 60]
    answers[2] = answers[2][:-1]
    read = [Encoded((*text, *answer), len(text)) for text, answer in zip(texts, answers, strict=True)]
    scores = Reader(model, 0, batch_size=4).read([[text] for text in read])
    found = [by_heart(text, of, limit=limit, end=stop) for text, (of,) in zip(read, scores, strict=True)]
    assert found == [None if i in (1, 2) else said for i, said in enumerate(own)]
    assert any(len(said) < limit for said in own) == (end is not None)
    known = {i: said for i, said in enumerate(found) if said is not None}
    assert continuations(model, texts, limit=limit, end=stop, pad=0, known=known) == own


def test_plain_text_is_not_known_by_heart():
    scores = TokenScores(np.zeros(2), np.ones(2, dtype=bool))
    assert by_heart(Encoded((1, 2, END), 0), scores, limit=9, end=END) is None


def test_a_known_prompt_is_not_read_again_where_others_were_begun():
    model = MODELS["llama"]()
    texts = [text for text in prompts() if len(text) > WORTH]
    reader = Reader(model, 0, batch_size=4)
    reader.read([[Encoded((*text, a), len(text)) for a in (1, 2)] for text in texts], keep=True)
    known = {0: [5, 6], 3: []}
    said = continuations(model, texts, limit=5, end=END, pad=0, begun=reader.begun, known=known)
    assert said == [known.get(i, alone(model, text, 5, END)) for i, text in enumerate(texts)]


def test_the_models_own_context_ends_it():
    model = MODELS["llama"]()
    room = model.config.max_position_embeddings
    [said] = continuations(model, [[1] * (room - 3)], limit=10, end=None, pad=0)
    assert len(said) == 3


def test_nothing_is_said_to_no_prompt():
    assert continuations(MODELS["llama"](), [[], [1]], limit=1, end=None, pad=0)[0] == []
    assert continuations(MODELS["llama"](), [[1]], limit=0, end=None, pad=0) == [[]]
