"""A model, samples and measurements small enough for tests: milliseconds each, no files, no network.

The model is a random two-layer Llama over 64 token ids; samples are random ids of different lengths, so that
batches have padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its usual name
from transformers import LlamaConfig, LlamaForCausalLM

from unlearnkit.contracts import (
    Algorithm,
    Batch,
    Column,
    Need,
    Probe,
    Sample,
    Step,
    Term,
    TokenScores,
    Wrapper,
)
from unlearnkit.data.collate import collate, plan
from unlearnkit.data.encode import Encoded
from unlearnkit.losses import label_scores
from unlearnkit.runs.target import ModelTarget
from unlearnkit.scoring import ModelBench
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.step import TrainingStep

VOCABULARY = 64


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """A random float32 Llama: 2 layers, hidden size 32, tied embeddings. Equal seeds give equal weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def encoded(n: int, seed: int = 0) -> list[Encoded]:
    """n texts of 6 to 15 random ids, whose last 2 to 5 carry labels."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        length, labels = int(rng.integers(6, 16)), int(rng.integers(2, 6))
        texts.append(Encoded(tuple(rng.integers(1, VOCABULARY, length).tolist()), length - labels))
    return texts


def batch(n: int = 4, seed: int = 0) -> Batch:
    """The first n texts as one batch [n, T]."""
    return collate(encoded(n, seed), range(n), pad=0)


def padded(short: Batch, columns: int) -> Batch:
    """The same batch with that many more columns of padding on the right."""
    return replace(
        short,
        ids=F.pad(short.ids, (0, columns)),
        mask=F.pad(short.mask, (0, columns)),
        labels=F.pad(short.labels, (0, columns), value=-100),
    )


def step(
    algorithm: Algorithm, *, model: LlamaForCausalLM | None = None, padding: int = 0, together: bool = True
) -> TrainingStep:
    """A training step in mid-run, with batches of the sets that the algorithm reads, and anchors and a starting model
    where it declares to use them.

    Those come from another model than the step's, as they do once training has moved the weights.
    """
    model = model or tiny_model()
    reads = dict.fromkeys(("forget", *algorithm.reads))
    batches = {name: padded(other_answers(name) if ":" in name else set_batch(name), padding) for name in reads}
    reference = tiny_model(seed=1)
    with torch.no_grad():
        anchors = {name: label_scores(reference, batches[name]).nll for name in algorithm.anchors}
    start = {name: p.detach() for name, p in reference.named_parameters() if algorithm.trains(name, reference)}
    return TrainingStep(
        model=model,
        batches=batches,
        together=algorithm.reads if together else (),
        progress=0.5,
        anchors=anchors,
        state=algorithm.begin(model, seed=0),
        start=start if algorithm.reads_reference else None,
    )


def trainer(
    algorithm: Algorithm, *, wrapper: Wrapper | None = None, batch_size: int = 4, steps: int = 3, precise: bool = False
) -> Trainer:
    """A trainer over four forget samples a step, in micro-batches of `batch_size`; `precise`: in float64."""
    plan = TrainingPlan(
        n=4, epochs=steps, max_steps=None, batch_size=batch_size, grad_accum=4 // batch_size, lr=1e-3,
        schedule="constant", warmup=0.0, weight_decay=0.0, max_grad_norm=1.0, seed=0,
        optimizer=(wrapper and wrapper.optimizer) or "adamw",
    )  # fmt: skip
    model = tiny_model()
    return Trainer(
        model=model.double() if precise else model,
        algorithm=algorithm,
        name="tested",
        plan=plan,
        sets={"forget": encoded(4, seed=1), "retain": encoded(3, seed=2)},
        draw=lambda _: range(4),
        pad=0,
        wrapper=wrapper,
        wrapper_name="tested",
    )


def set_batch(name: str) -> Batch:
    """Four texts of the forget set, or three of the retain set."""
    return batch(4, seed=1) if name == "forget" else batch(3, seed=2)


def other_answers(name: str) -> Batch:
    """Other answers, of other lengths, to the same prompts."""
    of, _, kind = name.partition(":")
    texts = encoded(4, seed=1) if of == "forget" else encoded(3, seed=2)
    rng = np.random.default_rng(len(kind))
    answers = [tuple(rng.integers(1, VOCABULARY, int(rng.integers(2, 6))).tolist()) for _ in texts]
    others = [Encoded(text.prompt + answer, text.labels_from) for text, answer in zip(texts, answers, strict=True)]
    return collate(others, range(len(others)), pad=0)


def total(terms: Mapping[str, Term], at: Step) -> Tensor:
    """The loss that training descends: Σ weight · mean over samples, or over label tokens, of each term."""
    losses = []
    for name, term in terms.items():
        own = at.forget if name == "forget" else at.retain
        assert own is not None
        counted = at.batch(term.over) if term.over else own
        tokens = (counted.labels[:, 1:] != -100).sum(-1)
        size = len(own) if term.per == "sample" else int((tokens - term.skip).clamp(min=0).sum())
        losses.append(term.weight * term.values.sum() / size)
    return torch.stack(losses).sum()


def bench(model: LlamaForCausalLM | None = None, n: int = 7) -> ModelBench:
    """A bench of n samples in batches of two, two batches a shard, in the order that `plan` gives them."""
    texts = encoded(n)
    batches = [collate(texts, rows, pad=0) for rows in plan(texts, 2)]
    shards = [batches[i : i + 2] for i in range(0, len(batches), 2)]
    return ModelBench(
        (model or tiny_model()).eval(),
        shards,
        seed=0,
        samples=samples(n),
        sets={"retain": samples(4, "retained"), "corpus": samples(3, "corpus")},
        batches={"retain": [batch(4, seed=3)]},
    )


def samples(n: int, word: str = "answer") -> list[Sample]:
    """n samples of a few plain words each."""
    answers = [f"{word} number {i} of a few plain words" for i in range(n)]
    return [
        Sample(f"{word}-{i}", i, f"question {i}?", answers[i], (f"or {answers[i]}",), ("no", "not", "never"))
        for i in range(n)
    ]


def probe(needs: Iterable[Need], n: int = 5) -> Probe:
    """n samples with made-up measurements; only what is in `needs` is there."""
    rng = np.random.default_rng(n)
    wanted = set(needs)

    def text() -> TokenScores:
        length = int(rng.integers(2, 6))
        logprobs, correct = -rng.exponential(1.0, length), rng.random(length) < 0.5
        if "vocabulary" not in wanted:
            return TokenScores(logprobs, correct)
        return TokenScores(logprobs, correct, entropy=rng.random(length) * 3, spread=rng.random(length) + 0.1)

    answers = [sample.answer for sample in samples(n)]
    found = {
        "answer": [text() for _ in range(n)],
        "paraphrases": [[text()] for _ in range(n)],
        "wrong": [[text() for _ in range(3)] for _ in range(n)],
        "generation": [answer[: 6 + 5 * i] for i, answer in enumerate(answers)],
        "prefixed": [text() for _ in range(n)],
        "gradient": rng.exponential(1.0, n).tolist(),
    }
    return Probe(samples(n), **{name: values for name, values in found.items() if name in wanted})  # type: ignore[arg-type]


def target(model: LlamaForCausalLM | None = None, n: int = 6) -> ModelTarget:
    """A target of n forget samples, with five others in each of the other sets."""
    own = (model or tiny_model()).eval()
    return ModelTarget(
        load=lambda: own,
        samples=samples(n),
        sets={"retain": samples(5, "retained"), "related": samples(5, "related")},
        templates=("plain", "verbatim"),
        encode=lambda some: [encoded(1, seed=sample.position)[0] for sample in some],
        pad=0,
        rate=1e-2,
    )


def columns(metrics: Iterable[str], splits: Iterable[str], n: int = 20, seed: int = 0) -> dict[tuple[str, str], Column]:
    """Stored values in 0 … 1 for every metric on every split; the metrics are better the lower they are."""
    rng = np.random.default_rng(seed)
    made = {}
    for split, metric in ((split, metric) for split in splits for metric in metrics):
        values = rng.random(n)
        ids = tuple(f"{split}-{i:03}" for i in range(n))
        made[split, metric] = Column(values=values, terms=values, samples=ids, better="lower")
    return made
