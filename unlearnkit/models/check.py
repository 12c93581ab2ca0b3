"""Whether a folder holds a causal language model that can be loaded safely: from its files, before anything
is built.

The order is from the cheapest to the dearest question. Sizes that config.json claims are held against the
tensors that are there, because building a model of a million layers hangs long before any loader compares
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.models.jsonfile import read_object
from unlearnkit.models.weights import FLOATS, StoredTensor, stored_tensors

NEEDED = "a model folder has config.json, model.safetensors (or shards with their index) and a tokenizer"

_CAUSAL = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


@dataclass(frozen=True)
class Checked:
    """What the files say. `context` is in tokens, None where the model has no limit of its own."""

    config: dict[str, Any]
    tensors: tuple[StoredTensor, ...]
    architecture: str
    parameters: int
    context: int | None
    vocab: int
    width: int


def check_folder(folder: Path) -> Checked:
    """Check a model folder and say what it holds.

    :raises NotFound: `model` where there is no folder or an empty one.
    :raises UnlearnkitError: `model-config`, `remote-code`, `quantised`, `adapter`, `architecture`, `weights`,
        `pickle` or `tokenizer`.
    """
    config, tensors = read_folder(folder)
    architecture = _architecture(config, folder)
    vocab, width = _check_sizes(config, tensors, folder)
    _check_tokenizer(folder, vocab)
    parameters = sum(tensor.elements for tensor in tensors if tensor.dtype in FLOATS)
    return Checked(config, tensors, architecture, parameters, _size(config, _CONTEXT, folder), vocab, width)


def read_folder(folder: Path) -> tuple[dict[str, Any], tuple[StoredTensor, ...]]:
    """Configuration and tensors of a model of any kind that brings no code and no pickle, and is not quantised.

    :raises NotFound: `model` where there is no folder or an empty one.
    :raises UnlearnkitError: `model-config`, `remote-code`, `quantised`, `adapter`, `weights` or `pickle`.
    """
    check_exists(folder)
    _refuse_code(folder)
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            raise UnlearnkitError(
                f"{folder} is an adapter, not a model",
                hint="the plugin unlearnkit-lora reads it, beside its base model: pip install unlearnkit-lora",
                code="adapter",
            )
        raise UnlearnkitError(f"no config.json in {folder}", hint=NEEDED, code="model-config")
    config = read_object(folder / "config.json", "model-config")
    if config.get("quantization_config") is not None:
        raise _quantised(folder, "config.json has a quantization_config")
    tensors = stored_tensors(folder)
    for tensor in tensors:
        if tensor.name.endswith("weight") and tensor.dtype not in FLOATS:
            raise _quantised(folder, f"{tensor.name} is stored as {tensor.dtype}")
    return config, tensors


def check_exists(folder: Path) -> None:
    """:raises NotFound: `model` where there is no folder, or nothing in it."""
    if not folder.exists():
        problem = f"no model at {folder}"
    elif not folder.is_dir():
        problem = f"no model at {folder}: it is a file"
    elif not any(folder.iterdir()):
        problem = f"no model at {folder}: the folder is empty"
    else:
        return
    raise NotFound(problem, hint=NEEDED, code="model")


def check_token_ids(largest: int, vocab: int) -> None:
    """:raises UnlearnkitError: `tokenizer` where the tokenizer can make an id that has no embedding."""
    if largest >= vocab:
        raise UnlearnkitError(
            f"the tokenizer is another model's: token id {largest} but {vocab} embeddings",
            hint="put the tokenizer that the model was trained with into its folder",
            code="tokenizer",
        )


def _refuse_code(folder: Path) -> None:
    for path in sorted(folder.glob("*config.json")):
        if _has_key(read_object(path, "model-config"), "auto_map"):
            raise UnlearnkitError(
                f"{path} asks to run code that comes with the model (auto_map)",
                hint="use a version of the model that transformers itself supports",
                code="remote-code",
            )


def _has_key(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_has_key(item, key) for item in value.values())
    return isinstance(value, list) and any(_has_key(item, key) for item in value)


def _architecture(config: dict[str, Any], folder: Path) -> str:
    """Taken from `architectures`, which transformers writes with every model: `model_type` alone does not
    tell a decoder from an encoder."""
    if not isinstance(config.get("model_type"), str):
        raise UnlearnkitError(f"{folder / 'config.json'} names no model_type", hint=NEEDED, code="model-config")
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UnlearnkitError(f"{folder / 'config.json'} names no architectures", hint=NEEDED, code="model-config")
    causal = [name for name in names if name.endswith(_CAUSAL)]
    if not causal or config.get("is_encoder_decoder"):
        raise UnlearnkitError(f"needs a causal language model, this is {names[0]}", code="architecture")
    return str(causal[0])


def _quantised(folder: Path, why: str) -> UnlearnkitError:
    return UnlearnkitError(
        f"{folder} is quantised: {why}; small changes of such weights have no meaning",
        hint="use the model's unquantised version, or a GGUF file as gguf:PATH, which is dequantised",
        code="quantised",
    )


def _size(config: dict[str, Any], keys: tuple[str, ...], folder: Path) -> int | None:
    key = next((key for key in keys if config.get(key) is not None), None)
    if key is None:
        return None
    value = config[key]
    if type(value) is not int or value <= 0:
        raise UnlearnkitError(
            f"{folder / 'config.json'}: {key} must be a whole number > 0, got {value!r:.40}",
            code="model-config",
        )
    return value


def _check_sizes(config: dict[str, Any], tensors: tuple[StoredTensor, ...], folder: Path) -> tuple[int, int]:
    """Vocabulary and hidden size, once layers, hidden size and vocabulary are seen to be those of the tensors."""
    layers, hidden = _size(config, _LAYERS, folder), _size(config, _HIDDEN, folder)
    vocab = _size(config, ("vocab_size",), folder)
    if vocab is None:
        raise UnlearnkitError(f"{folder / 'config.json'} has no vocab_size", code="model-config")
    # Not equal: some models keep a further layer in the file that is only used to train.
    stored_layers = 1 + max((_layer(tensor.name) for tensor in tensors), default=-1)
    problem = None
    embeddings = [tensor.shape for tensor in tensors if len(tensor.shape) == 2 and tensor.shape[0] == vocab]
    if layers is not None and layers > stored_layers:
        problem = f"{layers:,} layers, the weights have {stored_layers:,}"
    elif hidden is not None and not any(hidden in tensor.shape for tensor in tensors):
        problem = f"a hidden size of {hidden:,}, which no tensor of the weights has"
    elif not embeddings:
        problem = f"a vocabulary of {vocab:,}, which no embedding of the weights has"
    if problem:
        raise UnlearnkitError(f"{folder / 'config.json'} asks for {problem}", code="model-config")
    return vocab, hidden if hidden is not None else embeddings[0][1]


def _layer(name: str) -> int:
    """The first number in a tensor's name counts its layer; -1 where there is none."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), -1)


def _check_tokenizer(folder: Path, vocab: int) -> None:
    if not any((folder / name).exists() for name in _TOKENIZERS):
        raise UnlearnkitError(
            f"no tokenizer in {folder}", hint=f"one of {', '.join(_TOKENIZERS)} is needed", code="tokenizer"
        )
    path = folder / "tokenizer.json"
    if not path.exists():
        return
    content = read_object(path, "tokenizer")
    try:
        words = content["model"]["vocab"]
        ids = list(words.values()) if isinstance(words, dict) else [len(words) - 1]
        largest = max(ids + [token["id"] for token in content.get("added_tokens") or []])
    except (KeyError, TypeError, ValueError) as error:
        raise UnlearnkitError(f"{path} is not a tokenizer's file", code="tokenizer") from error
    check_token_ids(largest, vocab)
