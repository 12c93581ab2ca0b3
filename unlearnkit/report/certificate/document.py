"""The certificate as a document: JSON of a fixed schema, and a digest by which a later change shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.report.certificate.facts import asked_for, forgotten, made, models
from unlearnkit.report.certificate.limits import absent, limits
from unlearnkit.report.certificate.measured import measured
from unlearnkit.version import __version__

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run

KIND = "unlearnkit.certificate"
VERSION = 1
"""Of the schema; changes when a key goes or means something else."""


@dataclass(frozen=True)
class Certificate:
    """A document without its digest; `unlearnkit.report.outputs` has its schema."""

    body: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """The whole document."""
        return {**self.body, "digest": {"algorithm": "sha256", "value": digest(self.body)}}

    def text(self) -> str:
        """The whole document as it is written to a file."""
        return json.dumps(self.json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document without its "digest", and the "format" that a command adds, as canonical JSON: sorted keys,
    no spaces, UTF-8."""
    body = {key: value for key, value in document.items() if key not in ("digest", "format")}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def issue(
    place: Workplace, ref: str, *, model: str | None = None, request: str | None = None, signed_by: str | None = None
) -> Certificate:
    """The certificate of a complete unlearning run, from the store and from the model's folder as it is now.

    Args:
        ref: the run.
        model: where its model lies now, if not where the run wrote it.
        request: what the certificate is for, such as the number of an erasure request.
        signed_by: whose name stands under it. No more than a name: nothing is signed cryptographically.

    Raises:
        NotFound: no such run, or its model's folder is gone (code `moved`).
        BadInput: it is no unlearning run.
        UnlearnkitError: it is not complete, or the folder does not hold the model that it wrote (code `changed`).
    """
    run = place.reading().run(ref)
    _check(run)
    before, after = models(place, run, model)
    asked = asked_for(place, run)
    found = measured(place, run, forgotten(place, run))
    body = {
        "kind": KIND,
        "version": VERSION,
        "issued": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "issued_by": f"unlearnkit {__version__}",
        "request": request,
        "signed_by": signed_by,
        "asked": asked,
        "run": made(run),
        "models": {"before": before, "after": after},
        **found,
    }
    return Certificate({**body, "absent": absent(place, run, body), "not_proven": limits(body)})


def _check(run: Run) -> None:
    if run.kind != "unlearn":
        raise BadInput(
            f"run {run.id} is {run.kind}, and nothing was to be forgotten by it",
            hint="an unlearn run: unlearnkit runs list",
            code="usage",
        )
    if run.state != "complete":
        raise UnlearnkitError(
            f"run {run.id} has no model: it is {run.status}", hint=f"unlearnkit resume {run.id}", code="incomplete"
        )
