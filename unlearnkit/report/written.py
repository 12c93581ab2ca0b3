"""Files that a report is written to: each whole or not at all, and none over another without being told to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from unlearnkit.errors import BadInput, UnlearnkitError


def check_file(path: Path, *, force: bool) -> None:
    """See that a file can be written, before there is anything to write.

    Raises:
        BadInput: code `exists`; UnlearnkitError: code `write`.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a file", hint="give the file's name too", code="value")
    if path.exists() and not (force and path.is_file()):
        raise BadInput(f"{path} is there already", hint="another name, or --force to replace a file", code="exists")
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


def check_files(paths: Sequence[Path], *, force: bool) -> None:
    """The same for several files, none of which may take another's place.

    Raises:
        BadInput: codes `exists`, `value`; UnlearnkitError: code `write`.
    """
    taken: set[Path] = set()
    for path in paths:
        check_file(path, force=force)
        if (place := path.resolve()) in taken:
            raise BadInput(f"{path} is to be two files at once", hint="give each a name of its own", code="value")
        taken.add(place)


def write_files(files: Sequence[tuple[Path, Callable[[], bytes]]], *, force: bool) -> list[Path]:
    """Make and write files one by one, each in one move, and their folders. Returns their paths.

    Raises:
        BadInput: codes `exists`, `value`, before any is made; UnlearnkitError: code `write`.
    """
    check_files([path for path, _ in files], force=force)
    for path, content in files:
        with replaced(path) as new:
            new.write_bytes(content())
    return [path for path, _ in files]


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of another when it is whole, and leaves nothing where it is not. No two
    processes share one.

    Raises:
        UnlearnkitError: code `write`.
    """
    new = path.with_name(f".{uuid4().hex}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield new
        new.replace(path)
    except OSError as error:
        raise UnlearnkitError(f"cannot write {path}: {error.strerror or error}", code="write") from error
    finally:
        new.unlink(missing_ok=True)
