"""What transformers would load without a word is refused."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.models import load_model, load_tokenizer, resolve

WEIGHTS = "model.safetensors"
UP = "model.layers.1.mlp.up_proj.weight"


def refused(folder: Path, code: str, load: Callable[..., Any] = load_model) -> UnlearnkitError:
    with pytest.raises(UnlearnkitError) as caught:
        load(resolve(str(folder)))
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    return caught.value


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.mark.parametrize("tied", [True, False])
def test_loads_the_stored_bits(made: Callable[..., Path], tied: bool, capfd: pytest.CaptureFixture[str]) -> None:
    folder = made(tie_word_embeddings=tied)
    model = load_model(resolve(str(folder)))
    assert not model.training
    stored = load_file(folder / WEIGHTS)
    live = dict(model.named_parameters())
    assert live.keys() == stored.keys()
    assert all(torch.equal(live[name], stored[name]) for name in stored)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert capfd.readouterr() == ("", "")


def test_loads_in_float32_whatever_is_stored(folder: Path, edit: Callable[..., None]) -> None:
    rewrite(folder, lambda tensors: tensors.update({name: t.bfloat16() for name, t in tensors.items()}))
    edit(folder / "config.json", lambda config: config.update(dtype="bfloat16"))
    source = resolve(str(folder))
    assert {p.dtype for p in load_model(source).parameters()} == {torch.float32}
    assert {p.dtype for p in load_model(source, dtype="bfloat16").parameters()} == {torch.bfloat16}
    with pytest.raises(BadInput, match="int8"):
        load_model(source, dtype="int8")


def test_refuses_a_missing_weight(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop(UP))
    assert f"missing weights: {UP}" in refused(folder, "weights").message


def test_refuses_an_unexpected_weight(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"model.layers.1.extra.weight": torch.ones(2, 2)}))
    assert "unexpected weights: model.layers.1.extra.weight" in refused(folder, "weights").message


def test_refuses_a_layer_too_many(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "config.json", lambda config: config.update(num_hidden_layers=1))
    assert "unexpected weights: model.layers.1." in refused(folder, "weights").message


def test_refuses_a_wrong_shape(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({UP: torch.ones(24, 15)}))
    assert f"mismatched weights: {UP}" in refused(folder, "weights").message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_refuses_nan_and_infinity(folder: Path, value: float) -> None:
    rewrite(folder, lambda tensors: tensors[UP].view(-1)[3:5].fill_(value))
    assert refused(folder, "weights-nan").message == f"{UP} has 2 values that are NaN or infinite"


def test_refuses_a_zero_matrix_but_not_a_zero_vector(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors["model.norm.weight"].zero_())
    load_model(resolve(str(folder)))
    rewrite(folder, lambda tensors: tensors[UP].zero_())
    assert refused(folder, "weights-nan").message == f"{UP}: all 384 values are zero"


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_an_unknown_type_is_one_line(folder: Path, edit: Callable[..., None], load: Callable[..., Any]) -> None:
    edit(folder / "config.json", lambda config: config.update(model_type="nonesuch"))
    assert "nonesuch" in refused(folder, "model-config", load).message


def test_an_encoder_that_calls_itself_causal_is_refused(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "config.json", lambda config: config.update(model_type="vit"))
    assert refused(folder, "architecture").message == "needs a causal language model, this is vit"


@pytest.mark.parametrize("key", ["intermediate_size", "head_dim"])
def test_a_width_out_of_proportion_is_refused_before_it_is_allocated(
    folder: Path, edit: Callable[..., None], key: str
) -> None:
    edit(folder / "config.json", lambda config: config.update({key: 10**9}))
    assert "describes" in refused(folder, "model-config").message


def test_remote_code_never_prompts(
    folder: Path, edit: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that turns hostile after it was checked, at a terminal whose user would say yes."""
    source = resolve(str(folder))
    canary = tmp_path / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')")
    code = {
        "AutoConfig": "evil.Config",
        "AutoModelForCausalLM": "evil.Model",
        "AutoTokenizer": ["evil.T", "evil.T"],
    }
    for name in ("config.json", "tokenizer_config.json"):
        edit(folder / name, lambda config: config.update(auto_map=code, model_type="evil", tokenizer_class="T"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\n"))
    for load in (load_model, load_tokenizer):
        with pytest.raises(UnlearnkitError):
            load(source)
    assert not canary.exists()
    assert sys.stdin.read() == "y\ny\n"


def test_the_end_token_pads_where_there_is_no_pad_token(folder: Path, edit: Callable[..., None]) -> None:
    tokenizer = load_tokenizer(resolve(str(folder)))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 1
    edit(folder / "tokenizer_config.json", lambda config: config.update(pad_token="w5"))
    assert load_tokenizer(resolve(str(folder))).pad_token_id == 8


def test_a_tokenizer_without_pad_and_end_is_refused(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "tokenizer_config.json", lambda config: config.pop("eos_token"))
    refused(folder, "tokenizer", load_tokenizer)


def test_a_tokenizer_in_other_files_is_checked_too(folder: Path, edit: Callable[..., None]) -> None:
    """WordPiece's vocab.txt, which only the loaded tokenizer can count."""
    shutil.move(folder / "tokenizer.json", folder / "unused")
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *(f"w{i}" for i in range(95))]
    (folder / "vocab.txt").write_text("\n".join(words))
    edit(folder / "tokenizer_config.json", lambda c: (c.clear(), c.update(tokenizer_class="BertTokenizer")))
    assert "token id 99 but 64 embeddings" in refused(folder, "tokenizer", load_tokenizer).message
