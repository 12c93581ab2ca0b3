"""A model's name is a hash of what it computes with: tensors, configuration, tokenizer.

Where it lies, how it is split into files and which version wrote it do not matter; a single changed bit does.
safetensors has no checksum of its own, so this is also what finds damaged weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.models.jsonfile import read_object
from unlearnkit.models.weights import StoredTensor

if TYPE_CHECKING:
    from torch import Tensor, nn

_CHUNK = 1 << 20
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
    _add(total, "config", _lasting(config))
    for path in tokenizer_files(folder):
        name = path.relative_to(folder).as_posix()
        if name == "tokenizer_config.json":
            _add(total, name, _lasting(read_object(path, "tokenizer")))
        else:
            _add(total, name, _hash(_chunks(path)))
    return total.hexdigest()


def weights_fingerprint(model: nn.Module) -> str:
    """SHA-256 of live weights: sorted parameters (a tied one once) and the buffers that a checkpoint holds.

    One tensor at a time; none is copied that is contiguous and on the CPU. Not comparable with a folder's
    fingerprint, which also covers configuration and tokenizer.
    """
    saved = model.state_dict().keys()
    tensors = dict(model.named_parameters()) | {name: t for name, t in model.named_buffers() if name in saved}
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        _add(total, name, str(tensor.dtype), list(tensor.shape), _hash([_live_bytes(tensor)]))
    return total.hexdigest()


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a folder that make up its tokenizer, sorted."""
    return sorted({path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)})


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return _hash(_chunks(path))


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
