"""Tiny models of architectures that keep what they have read in different ways."""

from __future__ import annotations

from typing import Any

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
