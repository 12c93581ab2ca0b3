"""A model folder appears whole or not at all: written beside its place, synced, then renamed into it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.models.load import quiet
from unlearnkit.models.source import resolve

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    out: str | Path,
    *,
    card: str,
    force: bool = False,
) -> str:
    """Write a transformers folder (safetensors, tokenizer, `card` as README.md) and return its fingerprint.

    :raises BadInput: as `check_out`.
    :raises UnlearnkitError: `write` where the folder cannot be written.
    """
    save_folder(lambda folder: write_model(model, tokenizer, folder, card=card), out, force=force)
    return resolve(str(out)).fingerprint


def save_folder(write: Callable[[Path], None], out: str | Path, *, force: bool = False) -> None:
    """Let `write` fill a folder that then becomes `out`. Raises as `save_model`."""
    check_out(out, force)
    try:
        with new_folder(Path(out)) as folder:
            write(folder)
    except OSError as error:
        raise _cannot_write(out, error) from error


def check_out(out: str | Path, force: bool) -> None:
    """Whether a model may be written to `out`: to be asked before any work is done.

    :raises BadInput: `out` is empty, has a NUL, is a file, lies under one, or is a folder with something in
        it. With `force`, a folder that holds a model may be replaced; nothing else ever is.
    """
    text = str(out)
    # An empty path and "." are the same to pathlib.
    if text in ("", ".") or "\0" in text:
        raise BadInput(f"a folder to write to is needed, got {text!r}")
    path = Path(out)
    ancestor = next((parent for parent in [path, *path.parents] if parent.exists()), Path())
    if not ancestor.is_dir():
        raise BadInput(f"cannot write to {out}: {ancestor} is a file", hint="choose another folder")
    full = ancestor == path and any(path.iterdir())
    if full and not force:
        raise BadInput(f"{out} is not empty", hint="choose another folder, or --force to replace the model in it")
    if full and not _holds_model(path):
        raise BadInput(f"{out} holds something else than a model and is not replaced", hint="choose another folder")


def try_out(out: str | Path) -> None:
    """See that a folder can be made where `out` is to be, by making one: permissions alone do not tell.

    :raises UnlearnkitError: `write`.
    """
    place = next(parent for parent in Path(out).resolve().parents if parent.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=place):
            pass
    except OSError as error:
        raise _cannot_write(out, error) from error


def _holds_model(folder: Path) -> bool:
    described = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    return described and any(folder.glob("*.safetensors"))


def _cannot_write(out: str | Path, error: OSError) -> UnlearnkitError:
    return UnlearnkitError(
        f"cannot write {out}: {error.strerror or error}",
        hint="choose a folder that may be written to, on a disk with room",
        code="write",
    )


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, card: str) -> None:
    """Write model, tokenizer and card into an existing folder."""
    _forget_quantisation(model)
    with quiet(), _default_generation(model) as generation:
        model.save_pretrained(folder)
        (folder / "generation_config.json").write_text(generation.to_json_string(), encoding="utf-8")
    write_beside(tokenizer, folder, card=card)


def write_beside(tokenizer: PreTrainedTokenizerBase, folder: Path, *, card: str) -> None:
    """Write what goes with weights: tokenizer and card."""
    with quiet():
        tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def _default_generation(model: PreTrainedModel) -> Iterator[GenerationConfig]:
    """A model that says nothing of how it generates, while it is saved: transformers before 5.23 refuses to write what
    contradicts itself, such as a temperature without sampling, which many models on the hub came with. Yields what it
    said, and has it again at the end."""
    said = model.generation_config
    model.generation_config = type(said)()
    try:
        yield said
    finally:
        model.generation_config = said


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` at the end and replaces what was there. Where the block or the
    replacing fails, `target` is as before; what a killed process left beside it is put right first."""
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _put_right(target)
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    temp, old = (target.with_name(f".{target.name}.{mark}.{kind}") for kind in ("tmp", "old"))
    temp.mkdir()
    try:
        yield temp
        for path in [*temp.rglob("*"), temp]:
            _sync(path)
        if target.exists():
            target.rename(old)
        try:
            temp.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
        _sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _put_right(target: Path) -> None:
    """See to what processes that are gone left beside a folder: what was moved away goes back to its name where
    nothing took it, and the rest is removed."""
    left = re.compile(rf"\.{re.escape(target.name)}\.([0-9]+)-[0-9a-f]{{8}}\.(tmp|old)")
    for path in sorted(target.parent.iterdir()):
        found = left.fullmatch(path.name)
        if found is None or int(found[1]) == os.getpid() or _lives(int(found[1])):
            continue
        if found[2] == "old" and not target.exists():
            path.rename(target)
            _sync(target.parent)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget_quantisation(model: PreTrainedModel) -> None:
    """A dequantised model still carries the marks of its file, and transformers refuses to save such a
    model."""
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        vars(model).pop(mark, None)
    vars(model.config).pop("quantization_config", None)
