"""A fingerprint changes with what is computed and with nothing else."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unlearnkit.models import live_fingerprint, load_model, load_tokenizer, resolve, save_model, weights_fingerprint

WEIGHTS = "model.safetensors"


@pytest.fixture
def before(folder: Path) -> str:
    return resolve(str(folder)).fingerprint


def test_the_path_does_not_matter(folder: Path, before: str, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert resolve(str(tmp_path / "elsewhere")).fingerprint == before


@pytest.mark.parametrize("key", ["_name_or_path", "transformers_version", "torch_dtype", "dtype"])
def test_circumstances_do_not_matter(folder: Path, before: str, edit: Callable[..., None], key: str) -> None:
    edit(folder / "config.json", lambda config: config.update({key: "other"}))
    assert resolve(str(folder)).fingerprint == before


def test_the_order_of_tensors_does_not_matter(folder: Path, before: str) -> None:
    """The same tensors, written by hand in reverse."""
    header, data = {}, b""
    for name, tensor in sorted(load_file(folder / WEIGHTS).items(), reverse=True):
        content = tensor.numpy().tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert resolve(str(folder)).fingerprint == before


def test_every_bit_of_the_weights_matters(folder: Path, before: str) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert resolve(str(folder)).fingerprint != before


def test_a_name_and_a_shape_matter(folder: Path, before: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = "model.layers.0.mlp.up_proj.weight"
    seen = {before}
    for changed in (
        {name: tensors[name].T.contiguous()},
        {name: tensors[name].reshape(-1)},
        {"more": tensors[name]},
    ):
        save_file({key: value.clone() for key, value in (tensors | changed).items()}, folder / WEIGHTS)
        seen.add(resolve(str(folder)).fingerprint)
    assert len(seen) == 4


def test_configuration_and_tokenizer_matter(folder: Path, before: str, edit: Callable[..., None]) -> None:
    seen = {before}
    edit(folder / "config.json", lambda config: config.update(rms_norm_eps=1e-3))
    seen.add(resolve(str(folder)).fingerprint)
    edit(folder / "tokenizer_config.json", lambda config: config.update(eos_token="<s>"))
    seen.add(resolve(str(folder)).fingerprint)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    seen.add(resolve(str(folder)).fingerprint)
    edit(folder / "tokenizer.json", lambda content: content["model"].update(unk_token="w1"))
    seen.add(resolve(str(folder)).fingerprint)
    assert len(seen) == 5


def test_live_weights_are_hashed_by_content(made: Callable[..., Path]) -> None:
    model = load_model(resolve(str(made(tie_word_embeddings=True))))
    before = weights_fingerprint(model)
    assert weights_fingerprint(copy.deepcopy(model)) == before
    weight = model.model.layers[1].mlp.up_proj.weight.data
    kept = weight[0, 0].item()
    weight[0, 0] += 1e-6
    assert weights_fingerprint(model) != before
    weight[0, 0] = kept
    assert weights_fingerprint(model) == before


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_in_memory_is_known_by_what_its_folder_will_be(
    made: Callable[..., Path], tmp_path: Path, tied: bool
) -> None:
    source = resolve(str(made(tie_word_embeddings=tied)))
    model, tokenizer = load_model(source), load_tokenizer(source)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight += 1e-3
    before = live_fingerprint(model, tokenizer)
    assert before == save_model(model, tokenizer, tmp_path / "out", card="") != source.fingerprint
    seen = {before}
    tokenizer.chat_template = "{{ messages }}"
    seen.add(changed := live_fingerprint(model, tokenizer))
    assert changed == save_model(model, tokenizer, tmp_path / "other", card="")
    model.config.rms_norm_eps = 1e-3
    seen.add(live_fingerprint(model, tokenizer))
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] += 1e-6
    seen.add(live_fingerprint(model, tokenizer))
    assert len(seen) == 4


def test_a_rounded_model_in_memory_is_not_what_is_read_of_its_folder(made: Callable[..., Path], tmp_path: Path) -> None:
    source = resolve(str(made()))
    model, tokenizer = load_model(source, dtype="bfloat16"), load_tokenizer(source)
    assert live_fingerprint(model, tokenizer) != save_model(model, tokenizer, tmp_path / "out", card="")


def test_live_weights_against_the_definition() -> None:
    """A small module, hashed here line by line: a tied weight once, saved buffers, bfloat16, a scalar."""
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.bfloat16))
            self.tied = self.b
            self.a = nn.Parameter(torch.tensor(3.0))
            self.register_buffer("kept", torch.tensor([7]))
            self.register_buffer("derived", torch.tensor([8]), persistent=False)

    expected = hashlib.sha256()
    for name, dtype, shape, content in (
        ("a", "torch.float32", [], b"\x00\x00\x40\x40"),
        ("b", "torch.bfloat16", [1, 2], b"\x80\x3f\x00\xc0"),
        ("kept", "torch.int64", [1], b"\x07" + b"\0" * 7),
    ):
        expected.update(json.dumps([name, dtype, shape, hashlib.sha256(content).hexdigest()]).encode())
    assert weights_fingerprint(Small()) == expected.hexdigest()
