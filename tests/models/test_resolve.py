"""Models that cannot be used are refused from their files, in one line, with nothing loaded."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.models import resolve

VOCAB = 64
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def refused(source: Path | str, code: str, **options: Any) -> UnlearnkitError:
    with pytest.raises(UnlearnkitError) as caught:
        resolve(str(source), **options)
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("tied", [True, False])
def test_says_what_a_folder_holds(made: Callable[..., Path], tied: bool) -> None:
    from transformers import AutoModelForCausalLM

    folder = made(tie_word_embeddings=tied)
    source = resolve(str(folder))
    assert (source.label, source.folder) == (str(folder), folder)
    assert (source.architecture, source.context, source.vocab) == ("LlamaForCausalLM", 32, VOCAB)
    assert source.parameters == AutoModelForCausalLM.from_pretrained(folder).num_parameters()


def test_checking_imports_nothing_heavy(made: Callable[..., Path]) -> None:
    program = (
        "import sys\n"
        "from unlearnkit.models import resolve\n"
        f"resolve({str(made(tie_word_embeddings=True))!r})\n"
        "heavy = ('torch', 'transformers', 'safetensors', 'huggingface_hub')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("source", ["", "  ", "a\0b"])
def test_refuses_what_is_no_path(source: str) -> None:
    with pytest.raises(BadInput):
        resolve(source)


def test_refuses_nothing_a_file_and_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "file", "empty"):
        error = refused(tmp_path / name, "model")
        assert isinstance(error, NotFound)
        assert error.message.startswith(f"no model at {tmp_path / name}")
        assert "config.json" in (error.hint or "")


def test_refuses_a_folder_without_a_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    refused(folder, "model-config")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\ufeff{}", '{"a": "\ud800"}'])
def test_refuses_a_configuration_that_is_no_object(folder: Path, text: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(folder, "model-config")


@pytest.mark.parametrize("key", ["model_type", "architectures", "vocab_size"])
def test_refuses_a_configuration_without(folder: Path, edit: Callable[..., None], key: str) -> None:
    edit(folder / "config.json", lambda config: config.pop(key))
    assert key in refused(folder, "model-config").message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 1_000_000),
        ("num_hidden_layers", 3),
        ("num_hidden_layers", "2"),
        ("hidden_size", 17),
        ("hidden_size", 0),
        ("vocab_size", 10**9),
        ("vocab_size", VOCAB + 1),
        ("vocab_size", True),
    ],
)
def test_refuses_sizes_that_the_weights_do_not_have(
    folder: Path, edit: Callable[..., None], key: str, value: object
) -> None:
    edit(folder / "config.json", lambda config: config.update({key: value}))
    refused(folder, "model-config")


@pytest.mark.parametrize("size", [0, 3, 8, 200, -4])
def test_names_expected_and_found_bytes_of_truncated_weights(folder: Path, size: int) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:size])
    error = refused(folder, "weights")
    assert f"found {len(whole[:size]):,}" in error.message
    if size == -4:
        assert f"expected {len(whole):,} bytes" in error.message


def test_refuses_bytes_after_the_weights(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole + b"\0")
    assert f"expected {len(whole):,} bytes, found {len(whole) + 1:,}" in refused(folder, "weights").message


def _write_header(path: Path, header: object, data: bytes = b"") -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"},
    ],
)
def test_refuses_headers_that_cannot_be(folder: Path, header: object) -> None:
    _write_header(folder / WEIGHTS, header, b"\0" * 8)
    refused(folder, "weights")


def test_refuses_a_header_that_would_not_fit_in_memory(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert f"{2**62:,}" in refused(folder, "weights").message


def test_refuses_a_folder_without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    refused(folder, "weights")


def test_follows_shards(made: Callable[..., Path]) -> None:
    folder = made(tie_word_embeddings=True, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert resolve(str(folder)).fingerprint == resolve(str(made(tie_word_embeddings=True))).fingerprint


@pytest.fixture
def sharded(made: Callable[..., Path], tmp_path: Path) -> Path:
    source = made(tie_word_embeddings=True, max_shard_size="4KB")
    return Path(shutil.copytree(source, tmp_path / "sharded"))


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "../model.safetensors", "sub/model.safetensors", "..", "", 7],
)
def test_refuses_shards_outside_the_folder(sharded: Path, edit: Callable[..., None], name: object) -> None:
    edit(sharded / INDEX, lambda index: index["weight_map"].update({"a": name}))
    assert repr(name) in refused(sharded, "weights").message


def test_refuses_a_missing_shard(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[0]
    shard.unlink()
    assert shard.name in refused(sharded, "weights").message


def test_refuses_an_index_that_its_shards_do_not_keep(sharded: Path, edit: Callable[..., None]) -> None:
    lost = "model.layers.1.mlp.up_proj.weight"
    edit(sharded / INDEX, lambda index: index["weight_map"].pop(lost))
    assert lost in refused(sharded, "weights").message


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "last.ckpt"])
def test_refuses_pickles_without_opening_them(folder: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (canary,))

    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Evil()))
    assert "safetensors" in (refused(folder, "pickle").hint or "")
    assert not canary.exists()


@pytest.mark.parametrize(
    "where", ["config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"]
)
@pytest.mark.parametrize("nested", [False, True])
def test_refuses_remote_code(folder: Path, where: str, nested: bool) -> None:
    path = folder / where
    content = json.loads(path.read_text()) if path.exists() else {}
    code = {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}
    path.write_text(json.dumps(content | ({"inner": [code]} if nested else code)))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    assert where in refused(folder, "remote-code").message


def test_refuses_a_tokenizer_of_another_model(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "tokenizer.json", lambda content: content["model"]["vocab"].update(another=50257))
    assert "token id 50257 but 64 embeddings" in refused(folder, "tokenizer").message


def test_refuses_an_added_token_without_an_embedding(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "tokenizer.json", lambda content: content["added_tokens"][0].update(id=VOCAB))
    assert "token id 64 but 64 embeddings" in refused(folder, "tokenizer").message


def test_refuses_a_folder_without_a_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(folder, "tokenizer")


def test_refuses_quantised_models(folder: Path, edit: Callable[..., None]) -> None:
    edit(folder / "config.json", lambda config: config.update(quantization_config={"quant_method": "gptq"}))
    refused(folder, "quantised")


def test_refuses_integer_weights(folder: Path) -> None:
    import torch

    name = "model.layers.0.mlp.up_proj.weight"
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {name: tensors[name].to(torch.int8)}, folder / WEIGHTS)
    assert f"{name} is stored as I8" in refused(folder, "quantised").message


@pytest.mark.parametrize("name", ["BertForMaskedLM", "T5ForConditionalGeneration", "ViTForImageClassification"])
def test_refuses_other_architectures(folder: Path, edit: Callable[..., None], name: str) -> None:
    edit(folder / "config.json", lambda config: config.update(architectures=[name]))
    assert refused(folder, "architecture").message == f"needs a causal language model, this is {name}"


def test_refuses_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    refused(tmp_path, "adapter")


def test_a_hub_name_is_not_downloaded_unless_allowed(tmp_path: Path) -> None:
    error = refused("org/name", "offline", cache_dir=tmp_path)
    assert isinstance(error, NotFound)
    assert "--allow-download" in (error.hint or "")


@pytest.mark.parametrize("source", ["org/name", "org/name@main", "org/name@" + "0" * 40])
def test_a_hub_name_is_found_in_the_cache(made: Callable[..., Path], tmp_path: Path, source: str) -> None:
    """The cache as the hub's client lays it out: snapshots of links to blobs."""
    root, commit = tmp_path / "models--org--name", "0" * 40
    snapshot = root / "snapshots" / commit
    for path in (root / "refs", root / "blobs", snapshot):
        path.mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    for path in made(tie_word_embeddings=True).iterdir():
        shutil.copy(path, root / "blobs" / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    found = resolve(source, cache_dir=tmp_path)
    assert found.label == source
    assert found.fingerprint == resolve(str(made(tie_word_embeddings=True))).fingerprint
