"""A model's name is a hash of what it computes with: tensors, configuration, tokenizer.

Where it lies, how it is split into files and which version wrote it do not matter; a single changed bit does.
safetensors has no checksum of its own, so this is also what finds damaged weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from unlearnkit.models.jsonfile import read_object
from unlearnkit.models.weights import StoredTensor

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_CHUNK = 1 << 20
STORED = {"F64": "torch.float64", "F32": "torch.float32", "F16": "torch.float16", "BF16": "torch.bfloat16"}
"""What safetensors calls the kinds of numbers that weights are."""
_TOKENIZER_FILES = (
    "added_tokens.json",
    "additional_chat_templates/*.jinja",
    "chat_template.*",
    "merges.txt",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.*",
    "tokenizer_config.json",
    "vocab.*",
)
# Where a thing came from, what wrote it and how it was last loaded.
_CIRCUMSTANCES = {
    "_commit_hash",
    "_model_name_or_path",
    "_name_or_path",
    "dtype",
    "is_local",
    "local_files_only",
    "name_or_path",
    "torch_dtype",
    "transformers_version",
}


def folder_fingerprint(folder: Path, config: dict[str, Any], tensors: Iterable[StoredTensor]) -> str:
    """SHA-256 over the sorted tensors (name, dtype, shape, SHA-256 of the bytes), the configuration without
    its circumstances, and the tokenizer's files. Reads every weight once, about 0.7 s per 500 MB."""
    total = hashlib.sha256()
    for tensor in sorted(tensors):
        _add(total, tensor.name, tensor.dtype, list(tensor.shape), _hash(_stored_bytes(tensor)))
    _add_rest(total, config, folder)
    return total.hexdigest()


def live_fingerprint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the folder of a model in memory would be known by if `save_model` wrote it now, where it would be read again
    as it is, in float32. Of one that is rounded, or whose tensors are stored under other names, a fingerprint that no
    folder has, of as much."""
    total, rounded = hashlib.sha256(), False
    for name, tensor in sorted(_saved(model).items()):
        rounded |= tensor.is_floating_point() and tensor.element_size() < 4
        kind = next((stored for stored, of in STORED.items() if of == str(tensor.dtype)), str(tensor.dtype))
        _add(total, name, kind, list(tensor.shape), _hash([_live_bytes(tensor)]))
    config = json.loads(model.config.to_json_string())
    config.pop("quantization_config", None)  # of the file that it was read from
    with TemporaryDirectory(prefix="unlearnkit-") as folder:
        tokenizer.save_pretrained(folder)
        _add_rest(total, config, Path(folder))
    if rounded:
        _add(total, "as it is in memory")
    return total.hexdigest()


def weights_fingerprint(model: nn.Module) -> str:
    """SHA-256 of live weights: sorted parameters (a tied one once) and the buffers that a checkpoint holds.

    One tensor at a time; none is copied that is contiguous and on the CPU. Not comparable with a folder's
    fingerprint, which also covers configuration and tokenizer.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(_saved(model).items()):
        _add(total, name, str(tensor.dtype), list(tensor.shape), _hash([_live_bytes(tensor)]))
    return total.hexdigest()


def _saved(model: nn.Module) -> dict[str, Tensor]:
    kept = model.state_dict().keys()
    return dict(model.named_parameters()) | {name: t for name, t in model.named_buffers() if name in kept}


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a folder that make up its tokenizer, sorted."""
    return sorted({path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)})


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return _hash(_chunks(path))


def _add_rest(total: hashlib._Hash, config: dict[str, Any], folder: Path) -> None:
    """Add the configuration, and the tokenizer's files in a folder."""
    _add(total, "config", _lasting(config))
    for path in tokenizer_files(folder):
        name = path.relative_to(folder).as_posix()
        if name == "tokenizer_config.json":
            _add(total, name, _lasting(read_object(path, "tokenizer")))
        else:
            _add(total, name, _hash(_chunks(path)))


def _add(total: hashlib._Hash, *parts: object) -> None:
    total.update(json.dumps(parts, sort_keys=True).encode())


def _lasting(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _CIRCUMSTANCES}


def _hash(chunks: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _stored_bytes(tensor: StoredTensor) -> Iterator[bytes]:
    with tensor.file.open("rb") as file:
        file.seek(tensor.start)
        left = tensor.end - tensor.start
        while chunk := file.read(min(left, _CHUNK)):
            yield chunk
            left -= len(chunk)


def _live_bytes(tensor: Tensor) -> Any:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
