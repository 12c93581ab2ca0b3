"""A Llama of two layers, made once, as folders that tests may copy and break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VOCAB = 64


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a model folder with transformers' own save_pretrained, once for each set of options."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    done: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in done:
            shard = options.pop("max_shard_size", "50GB")
            sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": VOCAB}
            heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32}
            torch.manual_seed(0)
            model = LlamaForCausalLM(LlamaConfig(**(sizes | heads | options)))
            words = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>", *(f"w{i}" for i in range(VOCAB - 3))])}
            inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
            inner.pre_tokenizer = pre_tokenizers.Whitespace()
            folder = tmp_path_factory.mktemp("made") / "model"
            model.save_pretrained(folder, max_shard_size=shard)
            PreTrainedTokenizerFast(
                tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
            ).save_pretrained(folder)
            done[key] = folder
        return done[key]

    return make


@pytest.fixture
def folder(made: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy of the tied model, to break."""
    return Path(shutil.copytree(made(tie_word_embeddings=True), tmp_path / "model"))


@pytest.fixture
def edit() -> Callable[..., None]:
    """Change a JSON file in place."""

    def change(path: Path, alter: Callable[[dict[str, Any]], Any]) -> None:
        content = json.loads(path.read_text())
        alter(content)
        path.write_text(json.dumps(content))

    return change
