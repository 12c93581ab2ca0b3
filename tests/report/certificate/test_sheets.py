"""A certificate in a terminal: numbers of several suites are told apart."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from rich.console import Console

from unlearnkit.report.certificate.sheets import certificate_sheets


def row(name: str, suite: str, after: float) -> dict[str, Any]:
    return {"name": name, "suite": suite, "before": {"value": None}, "after": {"value": after}, "retain_only": None}


def test_a_name_that_two_suites_have_is_said_with_its_suite():
    document = {
        "not_proven": [], "absent": [], "digest": {"value": "d"},
        "models": {when: {"fingerprint": when} for when in ("before", "after")},
        "run": {"id": "r", "algorithm": "npo", "sampler": "uniform", "steps": 1, "stopped_by": "epochs"},
        "asked": {"forget": {"n": 1, "source": "f", "fingerprint": "f"}},
        "metrics": [row("forget.rouge", "tofu", 0.1), row("forget.rouge", "own", 0.2), row("forget.nll", "own", 3.0)],
    }  # fmt: skip
    console = Console(width=80, file=StringIO())
    console.print(list(certificate_sheets(document))[-1])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.findall(r"forget\.\w+(?: \(\w+\))?", shown) == ["forget.rouge (tofu)", "forget.rouge (own)", "forget.nll"]
