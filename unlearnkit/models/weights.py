"""What a folder's safetensors files say they hold, from their headers alone.

A safetensors file is 8 bytes of header length (little endian), a JSON header {name: {dtype, shape,
data_offsets}} and the tensors' bytes, one after the other without gaps. So a truncated or lying file is found
without reading a weight.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearnkit.errors import UnlearnkitError
from unlearnkit.models.jsonfile import parse_object, read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER = 100_000_000

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
ITEM_BYTES = FLOATS | {
    "C64": 8,
    "I64": 8,
    "U64": 8,
    "I32": 4,
    "U32": 4,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
}

_PLAIN_NAME = re.compile(r"[\w.-]+\.safetensors", re.ASCII)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, order=True)
class StoredTensor:
    """A tensor in a file: `start` and `end` are its bytes' offsets from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def stored_tensors(folder: Path) -> tuple[StoredTensor, ...]:
    """All tensors of a model folder, sorted by name.

    :raises UnlearnkitError: `weights` where files are missing, truncated, inconsistent or named outside the
        folder; `pickle` where there are only pickled weights.
    """
    if (folder / SINGLE).exists():
        return tuple(sorted(read_header(folder / SINGLE)))
    if (folder / INDEX).exists():
        return _sharded(folder)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise UnlearnkitError(
            f"{folder} has its weights as a pickle ({pickles[0]}), which can run code when opened",
            hint="where you trust it, load it with transformers' from_pretrained(..., weights_only=True) "
            "and call save_pretrained(): that writes safetensors",
            code="pickle",
        )
    raise UnlearnkitError(
        f"no weights in {folder}: neither {SINGLE} nor {INDEX}",
        hint="fetch the folder whole, or write it again with save_pretrained()",
        code="weights",
    )


def _sharded(folder: Path) -> tuple[StoredTensor, ...]:
    weight_map = read_object(folder / INDEX, "weights").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnlearnkitError(f"{folder / INDEX} has no weight_map", code="weights")
    for name in weight_map.values():
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise UnlearnkitError(
                f"{folder / INDEX} names {name!r}, which is not the name of a safetensors file in its folder",
                hint="do not trust this model: such a name would make a program read elsewhere",
                code="weights",
            )
    tensors = sorted(tensor for name in sorted(set(weight_map.values())) for tensor in read_header(folder / name))
    found = {tensor.name: tensor.file.name for tensor in tensors}
    if len(found) < len(tensors) or found != weight_map:
        wrong = sorted(name for name in found.keys() | weight_map if found.get(name) != weight_map.get(name))
        named = ", ".join(wrong[:5]) or "tensors in two files"
        raise UnlearnkitError(f"{folder / INDEX} and its files disagree on {named}", code="weights")
    return tuple(tensors)


def read_header(path: Path) -> list[StoredTensor]:
    """The tensors of one safetensors file.

    :raises UnlearnkitError: `weights`, with the expected and the found number of bytes where they differ.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else 0
            if length > MAX_HEADER:
                raise UnlearnkitError(
                    f"{path} is no safetensors file: its header would have {length:,} bytes", code="weights"
                )
            _expect_bytes(path, 8 + length, size, at_least=True)
            header = parse_object(file.read(length), f"the header of {path}", "weights")
    except OSError as error:
        raise UnlearnkitError(f"cannot read {path}: {error.strerror}", code="weights") from error
    header.pop("__metadata__", None)
    data = 8 + length
    tensors = sorted((_tensor(path, data, *item) for item in header.items()), key=lambda tensor: tensor.end)
    for before, tensor in zip([None, *tensors], tensors, strict=False):
        if tensor.start != (before.end if before else data):
            raise UnlearnkitError(f"{path} has a gap or an overlap before {tensor.name}", code="weights")
    _expect_bytes(path, tensors[-1].end if tensors else data, size)
    return tensors


def _expect_bytes(path: Path, expected: int, found: int, *, at_least: bool = False) -> None:
    if found < expected or (found > expected and not at_least):
        raise UnlearnkitError(
            f"{path} is damaged: expected {expected:,} bytes, found {found:,}",
            hint="the copy or download was cut off; fetch it again",
            code="weights",
        )


def _tensor(path: Path, data: int, name: str, entry: Any) -> StoredTensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        sound = (
            all(type(number) is int and number >= 0 for number in (*shape, start, end))
            and end - start == math.prod(shape) * ITEM_BYTES[dtype]
        )
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise UnlearnkitError(f"{path} describes {name!r} in a way that cannot be: {entry!r:.120}", code="weights")
    return StoredTensor(name, dtype, shape, path, data + start, data + end)
