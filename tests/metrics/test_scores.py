"""Scores of membership: on a small model against sums written out in float64, and what has no value."""

from __future__ import annotations

import math
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Metric, Probe, Sample, TokenScores, Undefined
from unlearnkit.data.encode import Template
from unlearnkit.evaluating import Evaluator
from unlearnkit.metrics.compression import Zlib
from unlearnkit.metrics.grad_norm import GradNorm
from unlearnkit.metrics.loss import Loss
from unlearnkit.metrics.min_k import MinK, MinKPlus
from unlearnkit.metrics.recall import ReCaLL
from unlearnkit.metrics.verbatim import VerbatimProbability

from .probes import EMPTY, samples, text

logprobs = st.lists(st.floats(-50, -1e-3), min_size=1, max_size=20)
KNOWN = [Sample("a", 0, "Who is it?", "It is Wolfgang Müller of Berne."), Sample("b", 1, "What?", "Nothing.")]
BEFORE = [Sample("c", 2, "And who?", "Somebody else.")]
PLAIN = Template("plain", text="Question: {question}\nAnswer: {answer}{eos}")


@pytest.fixture(scope="module")
def asked(tiny_model_dir: Path) -> tuple[Probe, Any, Any]:
    """What one pass finds out of two samples; the model in float64, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(tiny_model_dir) for kind in (AutoModelForCausalLM, AutoTokenizer))
    needs = {"answer", "vocabulary", "prefixed", "gradient"}
    probe = Evaluator(model, tokenizer, batch_size=2).probe(KNOWN, needs, PLAIN, max_new_tokens=1, before=BEFORE)
    return probe, model.double(), tokenizer


def rendered(sample: Sample) -> tuple[str, str]:
    return f"Question: {sample.prompt}\nAnswer:", f" {sample.answer}<|end|>"


def written_out(model: Any, tokenizer: Any, sample: Sample, before: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """All distributions [n, V] that predict an answer's tokens, and the tokens."""
    prompt, answer = (tokenizer(part, add_special_tokens=False).input_ids for part in rendered(sample))
    head = tokenizer(before, add_special_tokens=False).input_ids + prompt
    log_p = model(torch.tensor([head + answer])).logits[0].log_softmax(-1)
    return log_p[len(head) - 1 : -1], torch.tensor(answer)


def by_hand(model: Any, tokenizer: Any, sample: Sample) -> dict[Metric, float]:
    log_p, answer = written_out(model, tokenizer, sample)
    chosen = log_p.gather(-1, answer[:, None])[:, 0]
    mean = (log_p.exp() * log_p).sum(-1)
    spread = (log_p.exp() * (log_p - mean[:, None]) ** 2).sum(-1).sqrt()
    lowest = sorted(chosen.tolist())[: max(1, len(answer) // 5)]
    z = sorted(((chosen - mean) / spread).tolist())[: max(1, len(answer) // 2)]
    behind, _ = written_out(model, tokenizer, sample, "".join(rendered(BEFORE[0])))
    gradient = torch.autograd.grad(-chosen.mean(), list(model.parameters()), retain_graph=True)
    chosen = chosen.detach()
    return {
        Loss(): -float(chosen.mean()),
        Zlib(): -float(chosen.sum()) / len(zlib.compress(sample.answer.encode("utf-8"))),
        Zlib(nll="mean"): -float(chosen.mean()) / len(zlib.compress(sample.answer.encode("utf-8"))),
        MinK(): sum(lowest) / len(lowest),
        MinKPlus(k=0.5): sum(z) / len(z),
        ReCaLL(): float(behind.detach().gather(-1, answer[:, None]).sum() / chosen.sum()),
        GradNorm(): float(torch.cat([part.flatten() for part in gradient]).norm()),
        VerbatimProbability(given=2, tokens=3): math.prod(float(p) for p in chosen[2:5].exp()),
    }


def test_all_of_them_on_a_small_model(asked: tuple[Probe, Any, Any]):
    probe, model, tokenizer = asked
    for row, sample in enumerate(KNOWN):
        for metric, expected in by_hand(model, tokenizer, sample).items():
            assert metric.measure(probe)[row] == pytest.approx(expected, rel=2e-5), metric


def test_a_lead_stands_before_all_answers(asked: tuple[Probe, Any, Any]):
    """What is read behind it is the rest of the answer that begins with it."""
    _, model, tokenizer = asked
    led = Sample("d", 0, "Who is it?", " Wolfgang.", paraphrases=(" a man.",), wrong=(" Otto.",), lead="It is")
    probe = Evaluator(model, tokenizer, batch_size=2).probe(
        [led], {"answer", "paraphrases", "wrong"}, PLAIN, max_new_tokens=1
    )
    assert probe.answer is not None and probe.paraphrases is not None and probe.wrong is not None
    given = len(tokenizer(" It is", add_special_tokens=False).input_ids)
    read = {" Wolfgang.": probe.answer[0], " a man.": probe.paraphrases[0][0], " Otto.": probe.wrong[0][0]}
    for rest, found in read.items():
        log_p, answer = written_out(model, tokenizer, Sample("", 0, led.prompt, f"It is{rest}"))
        assert found.logprobs == pytest.approx(log_p.gather(-1, answer[:, None])[given:, 0].tolist(), rel=1e-6)


def test_a_model_that_says_nan_has_no_score():
    probe = Probe(samples("a"), answer=[text(-1.0, math.nan, -2.0)])
    assert MinK().measure(probe) == [Undefined("nonfinite")]


def test_nothing_before_is_no_prefix(asked: tuple[Probe, Any, Any]):
    _, model, tokenizer = asked
    evaluator = Evaluator(model, tokenizer, batch_size=2, context=20)
    ask = partial(evaluator.probe, KNOWN, {"answer", "prefixed"}, PLAIN, max_new_tokens=1)
    for probe in (ask(), ask(before=BEFORE * 9)):  # none, and too many
        assert ReCaLL().measure(probe) == [Undefined("no_prefix")] * 2


@given(logprobs, st.floats(0.01, 1))
def test_min_k_sorts(values: list[float], k: float):
    count = max(1, math.floor(k * len(values)))
    (found,) = MinK(k=k).measure(Probe(samples("a"), answer=[text(*values)]))
    assert found == pytest.approx(sum(sorted(values)[:count]) / count, rel=1e-9)


@given(logprobs, st.integers(0, 3), st.integers(1, 5), st.integers(1, 4))
def test_verbatim_is_that_one_of_some_samples_is_right(values: list[float], given: int, tokens: int, tries: int):
    metric = VerbatimProbability(given=given, tokens=tokens, tries=tries)
    (found,) = metric.measure(Probe(samples("a"), answer=[text(*values)]))
    chances = [math.exp(v) for v in values][given : given + tokens]
    missed = (1 - math.prod(chances)) ** tries
    assert found == (pytest.approx(1 - missed, rel=1e-6, abs=1e-14) if chances else Undefined("no_target"))


def test_the_curve_of_verbatim_probability_falls_and_ends_at_the_whole_answer():
    probe = Probe(samples("a"), answer=[text(-0.5, 0.0, -1.5)])
    curve = [VerbatimProbability(tokens=n).measure(probe)[0] for n in (1, 2, 3, 9)]
    assert curve == pytest.approx([math.exp(-0.5), math.exp(-0.5), math.exp(-2), math.exp(-2)])
    assert VerbatimProbability().measure(Probe(samples("a"), answer=[text(0.0)])) == [1.0]


def scored(logprobs: list[float], entropy: list[float], spread: list[float]) -> TokenScores:
    return TokenScores(*map(np.array, (logprobs, [True] * len(logprobs), entropy, spread)))


def test_what_has_no_score_says_why():
    nothing = Probe(samples(""), answer=[EMPTY], prefixed=[EMPTY], gradient=[math.nan])
    for metric in (Loss(), Zlib(), MinK(), ReCaLL(), VerbatimProbability()):
        assert metric.measure(nothing) == [Undefined("no_target")]
    assert GradNorm().measure(nothing) == [Undefined("nonfinite")]
    sure = Probe(samples("a"), answer=[text(0.0)], prefixed=[text(-1.0)])
    assert ReCaLL().measure(sure) == [Undefined("zero_denominator")]
    plus = MinKPlus(k=0.5)
    assert plus.measure(Probe(samples("a"), answer=[scored([-1.0, 0.0], [1.0, 0.0], [0.5, 0.0])])) == [
        Undefined("zero_spread")
    ]
    assert plus.measure(Probe(samples("a"), answer=[scored([], [], [])])) == [Undefined("no_target")]


def test_the_tail_does_not_count():
    probe = Probe(samples("a"), answer=[text(-1.0, -3.0, -9.0)])
    assert MinK(k=0.4, tail=1).measure(probe) == [-3.0]
    assert MinK(tail=3).measure(probe) == MinK(tail=4).measure(probe) == [Undefined("no_target")]
