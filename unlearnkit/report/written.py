"""Files that a report is written to: each whole or not at all, and none over another without being told to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from unlearnkit.errors import BadInput, UnlearnkitError


def check_file(path: Path, *, force: bool) -> None:
    """See that a file can be written, before there is anything to write.

    Raises:
        BadInput: code `exists`; UnlearnkitError: code `write`.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a file", hint="give the file's name too", code="value")
    if path.exists() and not force:
        raise BadInput(f"{path} is there already", hint="another name, or --force to replace it", code="exists")
    check_folder(path.parent)


def check_folder(path: Path) -> None:
    """See that files can be written into a folder, or that it can be made.

    Raises:
        UnlearnkitError: code `write`.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise UnlearnkitError(f"cannot write into {path}: {there} is a file", code="write")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UnlearnkitError(f"cannot write into {path}: {there} may not be written to", code="write")


def write_files(files: Iterable[tuple[Path, bytes]], *, force: bool) -> list[Path]:
    """Write files as they come, each in one move, and make their folders. Returns their paths.

    Raises:
        BadInput: code `exists`, where one is there, before any is written; UnlearnkitError: code `write`.
    """
    made = list(files)
    for path, _ in made:
        check_file(path, force=force)
    try:
        for path, content in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_bytes(content)
            new.replace(path)
    except OSError as error:
        raise UnlearnkitError(f"cannot write {error.filename}: {error.strerror}", code="write") from error
    return [path for path, _ in made]
