"""Whether a certificate is as it was issued, and whether the store and the model still say what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError
from unlearnkit.report.certificate.document import KIND, VERSION, digest, issue

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

LARGEST = 256 * 2**20
"""Bytes of a certificate, at most."""
ISSUED = ("kind", "version", "issued", "issued_by", "request", "signed_by", "digest", "format")
"""Who issued it, when and for what: nothing but the digest can tell of these. All else the store and the model say."""
NOT_SO = ("changed", "weights", "weights-nan", "incomplete")
"""Errors that say that the model is another, or none; others say that something is not at hand."""
CLOSE = 1e-9
"""Relative difference of two numbers that are the same but for the order of a sum."""


@dataclass(frozen=True)
class Check:
    """One thing looked at; `ok` is None where it could not be."""

    what: str
    ok: bool | None
    found: str

    def json(self) -> dict[str, Any]:
        return vars(self).copy()


def verify(place: Workplace, file: str | Path, *, model: str | None = None) -> list[Check]:
    """Check a certificate: its digest, and, where they are at hand, the store's numbers and the model's weights.

    What was measured since it was issued, another attack for one, is a difference too: the certificate is then out of
    date, and is told so by the section's name.

    Args:
        model: where the model lies now, if not where the run wrote it.

    Raises:
        NotFound: no such file. BadInput: it is no certificate, or of a schema that is not known here.
    """
    document = _read(Path(file))
    kept = document["digest"].get("value") if isinstance(document.get("digest"), Mapping) else None
    own = digest(document)
    found = "as issued" if kept == own else f"the text has {own[:16]}…, written in it is {str(kept)[:16]}…"
    return [Check("digest", kept == own, found), *_again(place, document, model)]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotFound(f"no certificate at {path}", code="certificate")
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{path.name} is larger than any certificate", code="certificate")
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path.name} is no JSON of finite numbers", hint="the file that --json wrote", code="certificate"
        ) from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise BadInput(f"{path.name} is not a certificate", hint="the file that --json wrote", code="certificate")
    if document.get("version") != VERSION:
        raise BadInput(
            f"{path.name} has version {document.get('version')!r:.40} of the schema, this program knows {VERSION}",
            code="certificate",
        )
    return document


def _finite(text: str) -> float:
    """A number of JSON that can be reckoned with; "NaN" and "Infinity" are none, nor is 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is no number of a certificate")
    return number


def _whole(text: str) -> int:
    """A whole number that is a finite one too."""
    _finite(text)
    return int(text)


def _again(place: Workplace, document: Mapping[str, Any], model: str | None) -> Iterator[Check]:
    """The same certificate issued again, section by section."""
    run = document.get("run")
    named = run.get("id") if isinstance(run, Mapping) else None
    try:
        known = [one.id for one in place.reading().runs(kind="unlearn") if one.id == named]
        now = issue(place, known[0], model=model).body if known else None
    except UnlearnkitError as error:
        if error.code in NOT_SO:
            yield Check("models", False, error.message)
        else:
            yield Check("store and model", None, f"not at hand: {error.message}")
        return
    if now is None:
        yield Check("store and model", None, "not at hand: the store has no such run")
        return
    for section in [key for key in {**now, **document} if key not in ISSUED]:
        where = difference(document.get(section), now.get(section))
        yield Check(section, where is None, "as in the store" if where is None else f"the store differs{where}")


def difference(one: Any, other: Any, where: str = "") -> str | None:
    """Where two documents differ first, as " at a.b"; None where they do not. Numbers may differ by rounding."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}, key=str):
            if key not in one or key not in other:
                return f" at {where}{key}"
            if (found := difference(one[key], other[key], f"{where}{key}.")) is not None:
                return found
        return None
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return f" at {where.rstrip('.') or 'its length'}"
        pairs = enumerate(zip(one, other, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{where}{i}.")) is not None), None)
    return None if _same(one, other) else f" at {where.rstrip('.')}" if where else ""


def _same(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers) and not isinstance(one, bool):
        return bool(abs(one - other) <= CLOSE * max(abs(one), abs(other)))
    return bool(one == other)
