"""A certificate in a terminal, in short; the whole is in its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unlearnkit.report.certificate.verify import Check
from unlearnkit.report.sheet import Sheet, figure, fixed, number, text


def certificate_sheets(document: Mapping[str, Any]) -> Iterator[Sheet]:
    """What is not proven and what is absent, as on the page first of all; what was done, and the numbers."""
    sheet = Sheet("not proven", text(""))
    for said in document["not_proven"]:
        sheet.add(f"• {said}")
    yield sheet
    sheet = Sheet("absent", text("what"), text("why, or what follows"))
    for row in document["absent"]:
        sheet.add(row["what"], row["why"])
    yield sheet
    run, asked = document["run"], document["asked"]["forget"]
    sheet = Sheet("certificate of unlearning", fixed(""), text(""))
    sheet.add("run", run["id"])
    sheet.add("asked to forget", f"{asked['n']} samples of {asked['source'] or '–'}, {asked['fingerprint']}")
    sheet.add("by", f"{run['algorithm']}, {run['sampler']}; {run['steps']} steps, ended by {run['stopped_by']}")
    for when in ("before", "after"):
        sheet.add(f"weights {when}", document["models"][when]["fingerprint"])
    sheet.add("digest", document["digest"]["value"])
    yield sheet
    if document["metrics"]:
        yield _numbers(document["metrics"])


def _numbers(rows: Sequence[Mapping[str, Any]]) -> Sheet:
    sheet = Sheet("before and after", text("number"), *(number(n) for n in ("before", "after", "retain-only")))
    twice = {name for name, n in Counter(row["name"] for row in rows).items() if n > 1}
    for row in rows:
        name = f"{row['name']} ({row['suite']})" if row["name"] in twice else row["name"]
        sheet.add(name, *(_value(row[when]) for when in ("before", "after")), figure(row["retain_only"]))
    return sheet


def _value(of: Mapping[str, Any]) -> str:
    return figure(of["value"])


def checks_sheet(checks: Sequence[Check]) -> Sheet:
    """What was checked, and what was found."""
    sheet = Sheet("", fixed("what"), fixed(""), text("found"))
    for check in checks:
        mark = "–" if check.ok is None else "ok" if check.ok else "WRONG"
        sheet.add(check.what, mark, check.found)
    return sheet
