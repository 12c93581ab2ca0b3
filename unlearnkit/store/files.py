"""Tensors on disk, named by what is in them.

A file appears under its name only when all of it is on the disk: it is written under a temporary name, flushed,
renamed, and the folder flushed; the row that refers to it comes last. A kill at any point leaves at most a temporary
file. No path is ever stored, so a store from elsewhere cannot point out of its own folder.

The format is safetensors, written here in one pass as it is hashed, so that a checkpoint is never in memory twice.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store.process import boot_id, exists

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"([0-9a-f]{64})\.safetensors")
SHARD = re.compile(r"[0-9a-f]{2}")
TEMPORARY = re.compile(r"\.tmp-([0-9a-f]*)-([0-9]+)-[0-9]+")

GRACE = 3600.0
"""Seconds for which a file may wait for the row that refers to it, while there are processes that write some."""

CHUNK = 1 << 22

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
"""torch's names of element types to safetensors'."""

_serial = itertools.count()


class FileArea:
    """The folder beside a store: `ab/<sha256>.safetensors`, and `.tmp-<boot>-<pid>-<n>` for what is being written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, tensors: Mapping[str, Tensor]) -> str:
        """Write tensors and return the file's sha256; on return they are on the disk.

        :raises UnlearnkitError: code "disk-full", or "checkpoint" where the file cannot be written.
        """
        with _plainly(self.root):
            _make(self.root)
            temporary = self.root / f".tmp-{_boot()}-{os.getpid()}-{next(_serial)}"
            file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            try:
                try:
                    sha = _write(file, tensors)
                    os.fsync(file)
                finally:
                    os.close(file)
                target = self._path(sha)
                _make(target.parent)
                os.replace(temporary, target)  # noqa: PTH105 - the order of these calls is what is tested
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            fsync_folder(target.parent)
            return sha

    def load(self, sha: str) -> dict[str, Tensor]:
        """The tensors of a file, on the CPU, after its content was found to be what its name says.

        :raises UnlearnkitError: code "checkpoint" where it is missing or altered.
        """
        from safetensors.torch import load_file

        if problem := self.problem(sha):
            raise UnlearnkitError(problem, hint="an earlier checkpoint may be whole", code="checkpoint")
        return load_file(self._path(sha))

    def has(self, sha: str) -> bool:
        return DIGEST.fullmatch(sha) is not None and self._path(sha).is_file()

    def problem(self, sha: str) -> str | None:
        """What is wrong with a file, or None. Reads all of it."""
        if not DIGEST.fullmatch(sha):
            return f"{sha[:80]!r} is not the name of a checkpoint file"
        try:
            file = os.open(self._path(sha), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            return f"checkpoint file {sha[:12]}… cannot be read: {os.strerror(error.errno or 0)}"
        digest = hashlib.sha256()
        with os.fdopen(file, "rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        return None if digest.hexdigest() == sha else f"checkpoint file {sha[:12]}… was altered"

    def stored(self) -> dict[str, int]:
        """Every file's sha256 and size in bytes."""
        sizes: dict[str, int] = {}
        for entry, match in self._files():
            with suppress(FileNotFoundError):  # dropped by another process since it was listed
                sizes[match[1]] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def waste(self, referenced: set[str], grace: float = GRACE) -> bool:
        """Whether `collect` would drop anything."""
        return any(self._spare(referenced, grace)) or any(self._abandoned())

    def collect(self, referenced: set[str], grace: float = GRACE) -> None:
        """Drop what was written but never recorded: files that are older than `grace`, seconds, and not `referenced`,
        and what dead processes left. Nothing that does not bear such a name is touched, and no link is followed."""
        for entry in [*self._spare(referenced, grace), *self._abandoned()]:
            Path(entry.path).unlink(missing_ok=True)

    def drop(self, sha: str) -> None:
        """Remove one file whose last row has gone."""
        if DIGEST.fullmatch(sha) and not self.root.is_symlink() and not self._path(sha).parent.is_symlink():
            self._path(sha).unlink(missing_ok=True)

    def _path(self, sha: str) -> Path:
        return self.root / sha[:2] / f"{sha}.safetensors"

    def _files(self) -> Iterator[tuple[os.DirEntry[str], re.Match[str]]]:
        for folder in _entries(self.root):
            if SHARD.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                for entry in _entries(Path(folder.path)):
                    match = NAME.fullmatch(entry.name)
                    if match and entry.is_file(follow_symlinks=False):
                        yield entry, match

    def _spare(self, referenced: set[str], grace: float) -> Iterator[os.DirEntry[str]]:
        for entry, match in self._files():
            if match[1] not in referenced and _age(entry) >= grace:
                yield entry

    def _abandoned(self) -> Iterator[os.DirEntry[str]]:
        for entry in _entries(self.root):
            match = TEMPORARY.fullmatch(entry.name)
            if match and entry.is_file(follow_symlinks=False):
                # Another boot may be another machine on the same disk, whose processes are not ours to judge.
                alive = exists(int(match[2])) if match[1] == _boot() else _age(entry) < GRACE
                if not alive:
                    yield entry


def fsync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(file: int, tensors: Mapping[str, Tensor]) -> str:
    """Write safetensors to a descriptor and return the content's sha256."""
    import torch

    # Widest elements first, so that each tensor starts aligned when the file is mapped.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {}
    end = 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind = str(tensor.dtype).removeprefix("torch.")
        if kind not in DTYPES:
            raise ValueError(f"{name}: tensors of {kind} are not stored")
        header[name] = {"dtype": DTYPES[kind], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    digest = hashlib.sha256()
    _put(file, digest, memoryview(len(text).to_bytes(8, "little") + text))
    for name in names:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            _put(file, digest, flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _put(file: int, digest: hashlib._Hash, data: memoryview) -> None:
    digest.update(data)
    while data:
        data = data[os.write(file, data) :]


def _make(folder: Path) -> None:
    """Make a folder that only its owner can read, or see that it is one and no link."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise UnlearnkitError(
                f"{folder} is not a folder of its own", hint="move it away", code="checkpoint"
            ) from None
    else:
        fsync_folder(folder.parent)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return list(entries)


def _age(entry: os.DirEntry[str]) -> float:
    try:
        return max(0.0, time.time() - entry.stat(follow_symlinks=False).st_mtime)
    except FileNotFoundError:
        return 0.0


def _boot() -> str:
    return boot_id().replace("-", "")


@contextmanager
def _plainly(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        raise UnlearnkitError(
            f"{error.filename or root}: {error.strerror or error}",
            hint="free some space and resume the run" if full else "check the folder's permissions",
            code="disk-full" if full else "checkpoint",
        ) from error
