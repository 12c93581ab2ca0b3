"""Files of other programs, read as JSON and as nothing else. All that they hold is untrusted: sizes, keys, numbers and
texts are checked here, once, before anybody looks at what they mean."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from unlearnkit.contracts import Undefined
from unlearnkit.errors import NotFound, UnlearnkitError

MOST = 2**28
"""Bytes of one JSON value, which takes several times as many when it is read. A log of ten thousand samples with their
texts has some twenty million."""
MOST_LINES = 2**30
"""Bytes of JSON lines, each of which is read by itself."""

Value = float | Undefined


@dataclass(frozen=True)
class Document:
    """A file: what it holds, and a hash of its bytes. `content` is JSON; the lines of a JSONL file are a list."""

    path: Path
    sha256: str
    content: Any


class Malformed(ValueError):  # noqa: N818 - reads as what a file is
    """What stands somewhere in a file is not what its form wants; the text says where and what."""


def read(path: Path) -> Document:
    """A file's JSON or JSONL.

    Raises:
        NotFound: no such file. UnlearnkitError: codes `unreadable`, `too-large`, `empty`, `encoding`, `json`.
    """
    if not path.is_file():
        raise NotFound(f"no file at {path}", hint="name a log of per-sample results", code="file")
    if path.stat().st_size > MOST_LINES:
        raise _too_large(path, MOST_LINES)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return Document(path, sha256, _content(path, file))
    except OSError as error:
        raise UnlearnkitError(f"{path} cannot be read: {error.strerror}", code="unreadable") from error


def _content(path: Path, file: BinaryIO) -> Any:
    """One JSON value, or where its first line is an object already, a list with one from each line."""
    lines = _lines(path, file)
    head = list(islice(lines, 2))
    if not head:
        raise UnlearnkitError(f"{path} is empty", code="empty")
    if len(head) == 2 and _is_object(head[0][1]):
        return [_parsed(line, f"{path}:{number}") for number, line in chain(head, lines)]
    file.seek(0)
    return _parsed(_decoded(path, file.read(MOST + 1)), str(path))


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their numbers, one in memory at a time."""
    for number, line in enumerate(iter(lambda: file.readline(MOST + 1), b""), 1):
        if text := _decoded(path, line).strip():
            yield number, text


def _decoded(path: Path, data: bytes) -> str:
    if len(data) > MOST:
        raise _too_large(path, MOST)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnlearnkitError(f"{path} is not UTF-8", hint="a log is JSON or JSONL", code="encoding") from error


def _too_large(path: Path, most: int) -> UnlearnkitError:
    return UnlearnkitError(
        f"{path} has more than {most:,} bytes{' in one JSON value' if most == MOST else ''}",
        hint="a log of JSON lines is read line by line: fewer samples, or more files", code="too-large",
    )  # fmt: skip


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno} column {error.colno}"
        raise UnlearnkitError(
            f"{where} is not JSON: {error.msg.lower()} at {at}", hint="a log is JSON or JSONL, whole", code="json"
        ) from error
    except RecursionError as error:
        raise UnlearnkitError(f"{where} is nested too deeply", code="json") from error
    except ValueError as error:  # a key twice, or an integer of thousands of digits
        raise UnlearnkitError(f"{where}: {error}", code="json") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise Malformed(f'the key "{twice:.60}" stands twice in one object')
    return found


# ------------------------------------------------------------------------------------------------- what stands in them


def mapping(value: Any, where: str) -> dict[str, Any]:
    """An object."""
    found: dict[str, Any] = _of_type(value, dict, "an object", where)
    return found


def sequence(value: Any, where: str) -> list[Any]:
    """A list."""
    found: list[Any] = _of_type(value, list, "a list", where)
    return found


def text(value: Any, where: str) -> str:
    """A text that can be hashed and stored."""
    found: str = _of_type(value, str, "a text", where)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{where} has a lone surrogate") from None
    if "\0" in found:
        raise Malformed(f"{where} has a NUL character")
    return found


def number(value: Any, where: str) -> Value:
    """A number; what is NaN, infinite, or beyond float64 has no value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{where} is {_kind(value)}, not a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    return found if math.isfinite(found) else Undefined("nonfinite")


def index(value: Any, where: str) -> int:
    """A row's index: a whole number ≥ 0, which JSON's keys are as text."""
    digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not (isinstance(digits, str) and digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise Malformed(f"{where} has a row {_kind(value) if not isinstance(value, str) else repr(value[:40])}")
    return int(digits)


def _of_type(value: Any, kind: type, name: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise Malformed(f"{where} is {_kind(value)}, not {name}")
    return value


def _kind(value: Any) -> str:
    words: dict[type, str] = {
        type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list",
        dict: "an object",
    }  # fmt: skip
    return words[type(value)]
