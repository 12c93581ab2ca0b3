"""Reading somebody else's JSON: bounded, and every way it can be broken is one kind of error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unlearnkit.errors import UnlearnkitError

MAX_BYTES = 200_000_000


def parse_object(text: bytes, name: str, code: str) -> dict[str, Any]:
    """A JSON object.

    :raises UnlearnkitError: with `code`, where it is no JSON, no UTF-8, no object or nested beyond reason.
    """
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnlearnkitError(f"{name} is not readable JSON: {error}", code=code) from error
    if not isinstance(value, dict):
        raise UnlearnkitError(f"{name} holds a {type(value).__name__}, not a JSON object", code=code)
    return value


def read_object(path: Path, code: str) -> dict[str, Any]:
    """A file that is a JSON object.

    :raises UnlearnkitError: with `code`, as `parse_object`, or where the file cannot be read or is too large.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnlearnkitError(f"{path} is larger than {MAX_BYTES:,} bytes", code=code)
        text = path.read_bytes()
    except OSError as error:
        raise UnlearnkitError(f"cannot read {path}: {error.strerror}", code=code) from error
    return parse_object(text, str(path), code)
