"""A step in float64 over texts of any number, padded as is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from unlearnkit.checks import checked_terms
from unlearnkit.contracts import Algorithm, Step
from unlearnkit.data.collate import collate
from unlearnkit.data.encode import Encoded
from unlearnkit.testing import material
from unlearnkit.training.step import TrainingStep

FORGET, RETAIN = material.encoded(4, seed=1), material.encoded(3, seed=2)


def other_answers(texts: Sequence[Encoded], seed: int = 7) -> list[Encoded]:
    rng = np.random.default_rng(seed)
    ends = [tuple(rng.integers(1, material.VOCABULARY, int(rng.integers(2, 6))).tolist()) for _ in texts]
    return [
        Encoded(text.ids[: text.labels_from] + end, text.labels_from) for text, end in zip(texts, ends, strict=True)
    ]


SETS = {"forget": FORGET, "retain": RETAIN, "forget:refusal": other_answers(FORGET)}


def llama(seed: int = 0, layers: int = 4) -> LlamaForCausalLM:
    """A random Llama in float64, its norms too, which transformers computes in float32."""
    config = LlamaConfig(
        vocab_size=material.VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).double()
        for block in model.model.layers:
            block.input_layernorm = torch.nn.RMSNorm(16, eps=1e-6, dtype=torch.float64)
            block.post_attention_layernorm = torch.nn.RMSNorm(16, eps=1e-6, dtype=torch.float64)
        model.model.norm = torch.nn.RMSNorm(16, eps=1e-6, dtype=torch.float64)
    return model


def step(
    algorithm: Algorithm,
    model: LlamaForCausalLM,
    start: LlamaForCausalLM,
    sets: Mapping[str, Sequence[Encoded]] = SETS,
    *,
    padding: int = 0,
    pad: int = 0,
) -> TrainingStep:
    """A step over the whole sets that the algorithm reads, in which only what it trains has a gradient; `start` is the
    model as training found it."""
    batches = {
        name: material.padded(collate(sets[name], range(len(sets[name])), pad=0), padding)
        for name in dict.fromkeys(("forget", *algorithm.reads))
    }
    for batch in batches.values():
        batch.ids.masked_fill_(batch.mask == 0, pad)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(algorithm.trains(name, model))
    trained = {name: p.detach() for name, p in start.named_parameters() if algorithm.trains(name, start)}
    return TrainingStep(
        model=model,
        batches=batches,
        together=algorithm.reads,
        progress=0.0,
        state=algorithm.begin(model, seed=3),
        start=trained if algorithm.reads_reference else None,
    )


def loss_and_gradient(algorithm: Algorithm, at: TrainingStep) -> tuple[Tensor, dict[str, Tensor | None]]:
    """The loss that training descends, and each parameter's gradient."""
    at.model.zero_grad(set_to_none=True)
    loss = material.total(checked_terms("tested", algorithm.losses(at), at), at)
    torch.autograd.backward(loss)
    return loss.detach(), {name: p.grad for name, p in at.model.named_parameters()}


def in_any_company(algorithm: Algorithm, step: Callable[..., Step], sets: Mapping[str, Sequence[Encoded]]) -> None:
    """See that a sample's terms are the same alone as among others, and under any padding. The pad token is one that
    stands in the answers too, as an end of turn does."""
    model, start = llama(0, layers=1), llama(1, layers=1)
    whole = algorithm.losses(step(algorithm, model, start))
    padded = algorithm.losses(step(algorithm, model, start, padding=9, pad=FORGET[0].ids[-1]))
    single = algorithm.losses(step(algorithm, model, start, {name: texts[:1] for name, texts in sets.items()}))
    for name, term in whole.items():
        torch.testing.assert_close(padded[name].values, term.values, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(single[name].values, term.values[:1], rtol=1e-10, atol=1e-12)
