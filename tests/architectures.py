"""Tiny models of architectures that keep what they have read in different ways."""

from __future__ import annotations

from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as tf
from torch import nn


def made(config: type, **options: Any) -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
    torch.manual_seed(0)
    return tf.AutoModelForCausalLM.from_config(config(**(sizes | options))).eval()  # type: ignore[no-any-return]


LLAMA = {"intermediate_size": 64, "num_key_value_heads": 1, "initializer_range": 0.2, "max_position_embeddings": 128}
MODELS = {
    "llama": lambda: made(tf.LlamaConfig, **LLAMA),
    "gemma2": lambda: made(tf.Gemma2Config, **LLAMA, head_dim=16, sliding_window=8),
    "gpt2": lambda: made(tf.GPT2Config, initializer_range=0.2),
    "opt": lambda: made(tf.OPTConfig, init_std=0.2, ffn_dim=64, word_embed_proj_dim=32),
    "bloom": lambda: made(tf.BloomConfig, initializer_range=0.2),
    "gpt_neo": lambda: made(
        tf.GPTNeoConfig,
        initializer_range=0.2,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=12,
        max_position_embeddings=128,
    ),
    "mpt": lambda: made(tf.MptConfig, d_model=32, n_heads=2, n_layers=2, initializer_range=0.2),
    "mamba": lambda: made(tf.MambaConfig, initializer_range=0.2, state_size=4),
}
MAMBA = {"mamba_d_state": 4, "intermediate_size": 64, "num_key_value_heads": 1, "initializer_range": 0.2}
HYBRIDS = {
    "jamba": lambda: made(
        tf.JambaConfig,
        **MAMBA,
        num_experts=2,
        num_experts_per_tok=1,
        attn_layer_period=2,
        attn_layer_offset=1,
        use_mamba_kernels=False,
        pad_token_id=0,
    ),
    "falcon_h1": lambda: made(tf.FalconH1Config, **MAMBA, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8),
    "recurrent_gemma": lambda: made(
        tf.RecurrentGemmaConfig, lru_width=32, attention_window_size=8, block_types=["recurrent", "attention"]
    ),
}
"""Those that keep states beside keys and values."""


def renamed(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model takes and gives what it keeps by the other of transformers' two names alone, from here on."""
    kind, forward = type(model), type(model).forward
    takes = signature(forward)
    own, other = sorted(("cache", "past_key_values"), key=lambda name: name not in takes.parameters)

    def by_the_other(self: Any, *args: Any, **more: Any) -> Any:
        assert own not in more
        if other in more:
            more[own] = more.pop(other)
        out = forward(self, *args, **more)
        return SimpleNamespace(logits=out.logits, **{other: getattr(out, own)})

    by_the_other.__wrapped__ = forward  # type: ignore[attr-defined]
    by_the_other.__signature__ = takes.replace(  # type: ignore[attr-defined]
        parameters=[of.replace(name=other) if name == own else of for name, of in takes.parameters.items()]
    )
    monkeypatch.setattr(kind, "forward", by_the_other)
