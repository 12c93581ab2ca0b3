"""What a reader's browser makes of a certificate: nothing is asked for, no script runs, and it can be printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from unlearnkit.report.certificate import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>\" onclick=\"window.pwned = 3"
VALUE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 2, "reason": None}
DOCUMENT: dict[str, Any] = {
    "request": HOSTILE,
    "issued": HOSTILE,
    "issued_by": HOSTILE,
    "signed_by": HOSTILE,
    "not_proven": [HOSTILE],
    "absent": [{"what": HOSTILE, "why": HOSTILE}],
    "asked": {"forget": {"source": HOSTILE, "n": 200, "fingerprint": HOSTILE}},
    "run": {
        **dict.fromkeys(("id", "created", "finished", "algorithm", "sampler", "wrapper", "adapter"), HOSTILE),
        **dict.fromkeys(("template", "stopped_by", "command"), HOSTILE),
        **{key: {HOSTILE: HOSTILE} for key in ("options", "sampler_options", "wrapper_options", "adapter_options")},
        **{key: {HOSTILE: HOSTILE} for key in ("plan", "environment")},
        "threshold": 2.0, "steps": 4, "step": 4, "exact": True,
    },
    "models": {
        when: {"source": HOSTILE, "architecture": HOSTILE, "parameters": 7, "fingerprint": "f" * 64}
        for when in ("before", "after")
    },
    "evaluations": [
        {"suite": HOSTILE, "n": 2, "run": HOSTILE, "before": None, "reference": None, "environment": {HOSTILE: HOSTILE}}
    ],
    "metrics": [
        {"name": HOSTILE, "suite": HOSTILE, "before": {**VALUE, "value": None, "reason": HOSTILE}, "after": VALUE,
         "retain_only": None, "direction": HOSTILE}
    ],
    "training_nll": {"first": 1.0, "last": 2.0},
    "difficulty": {"scorer": HOSTILE, "source": HOSTILE, "high_means": HOSTILE},
    "attacks": [
        {"attack": HOSTILE, "options": {HOSTILE: HOSTILE}, "outcomes": [
            {"metric": HOSTILE, "samples": HOSTILE, "n": 2, "before": 0.1, "under": 0.2, "rise": 0.1, "rise_low": 0.0,
             "rise_high": 0.2, "returned": None}
        ]}
    ],
    "samples": {"metric": HOSTILE, "rows": [
        {"sample": f"{i:032x}", "difficulty": 1e-4, "stderr": 1e-5, "before": 0.9, "after": 0.1, "worst": 0.2,
         "worst_attack": HOSTILE}
        for i in range(200)
    ]},
    "digest": {"value": "d" * 64},
}  # fmt: skip


def test_it_asks_for_nothing_runs_nothing_and_prints(browser: Browser, tmp_path: Path):
    file = tmp_path / "certificate.html"
    file.write_text(page(DOCUMENT), encoding="utf-8")
    context = browser.new_context(viewport={"width": 800, "height": 900})
    shown = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(file.as_uri())
    shown.locator("td").first.click()
    assert (asked, said) == ([file.as_uri()], [])
    assert shown.evaluate("window.pwned") is None
    assert shown.locator("script, img, [onclick]").count() == 0
    assert shown.locator("strong").inner_text() == HOSTILE
    assert shown.evaluate("document.documentElement.scrollWidth") <= 800, "nothing is cut off"
    printed = shown.pdf(format="A4")
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") > 1
    context.close()
