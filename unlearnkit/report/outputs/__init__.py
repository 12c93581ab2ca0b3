"""What `--format json` prints, as models: the JSON Schema of each version is made from them, and docs/json.md is.

The schema of a version is frozen, in `schemas/VERSION.json`, with the first release that has it. A key that is added
raises the second number of VERSION and leaves the first; one that goes, or means another thing, raises the first, and
`format` with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from unlearnkit.report.outputs import certificates, listings, numbers, plans, reports
from unlearnkit.report.outputs.base import Output

VERSION = "1.0"
FROZEN = Path(__file__).parent / "schemas"

COMMANDS: dict[str, Sequence[type[Output]]] = {
    "score": [numbers.Score, plans.Plan],
    "unlearn": [numbers.Training, plans.Plan],
    "finetune": [numbers.Training, plans.Plan],
    "sweep": [numbers.Sweep],
    "eval": [numbers.Evaluation, plans.Plan],
    "attack": [numbers.Attack, plans.Plan],
    "import": [numbers.Evaluation, numbers.Imported],
    "resume": [numbers.Score, numbers.Training, numbers.Evaluation, numbers.Attack],
    "certificate issue": [certificates.Certificate],
    "certificate verify": [certificates.CertificateChecks],
    "report": [reports.Report, reports.AssertedReport],
    "demo": [reports.Demo],
    "analyze difficulty": [reports.DifficultyAnalysis],
    "analyze samples": [reports.SamplesAnalysis],
    "analyze bias": [reports.BiasAnalysis],
    "split": [listings.Split],
    "export": [listings.Export],
    "runs list": [listings.Runs],
    "runs show": [listings.RunInFull],
    "runs compare": [reports.Compared],
    "runs diff": [listings.Diff],
    "runs rerun": [listings.Rerun],
    "runs tag": [listings.Remarks],
    "runs note": [listings.Remarks],
    "runs rm": [listings.Removed],
    "plugins list": [listings.Plugins],
    "plugins show": [listings.PluginsInFull],
    "completion": [listings.Completion],
    "plugins new": [listings.Written],
    "plugins check": [listings.PackageChecked],
    "metrics list": [listings.Definitions],
    "metrics show": [listings.Definitions],
    "suites list": [listings.Suites],
    "suites show": [listings.Suite],
    "store info": [listings.StoreInfo],
    "store check": [listings.StoreCheck],
    "store import": [listings.StoreImport],
    "doctor": [listings.Doctor],
}
"""Every command that prints JSON, and the forms that its object has."""


def schema() -> dict[str, Any]:
    """The JSON Schema of this version: `commands` has a reference for each command, or several."""
    models = list(dict.fromkeys(model for forms in COMMANDS.values() for model in forms))
    references, definitions = models_json_schema([(model, "validation") for model in models])
    named = {model: references[model, "validation"] for model in models}
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What unlearnkit prints with --format json, by command",
        "version": VERSION,
        "commands": {
            command: named[forms[0]] if len(forms) == 1 else {"anyOf": [named[form] for form in forms]}
            for command, forms in COMMANDS.items()
        },
        **definitions,
    }
    lean: dict[str, Any] = _lean(whole, keep=("title",))
    return lean


def of_command(whole: dict[str, Any], command: str) -> dict[str, Any]:
    """The schema of one command's output."""
    return {"$schema": whole["$schema"], "$defs": whole["$defs"], **whole["commands"][command]}


def _lean(part: Any, keep: Sequence[str] = ()) -> Any:
    """Without the titles and defaults that pydantic makes of names in Python, and without what some of its versions
    say besides; several simple types in one list."""
    if isinstance(part, list):
        return [_lean(one) for one in part]
    if not isinstance(part, dict):
        return " ".join(part.split()) if isinstance(part, str) else part
    made = [key for key in ("title", "default") if key not in keep and not isinstance(part.get(key), dict)]
    rest = {key: _lean(value) for key, value in part.items() if key not in made}
    if rest.get("additionalProperties") is True:
        del rest["additionalProperties"]
    if "const" in rest:
        rest.pop("enum", None)
    kinds = rest.get("anyOf")
    if isinstance(kinds, list) and all(kind.keys() == {"type"} for kind in kinds):
        del rest["anyOf"]
        rest["type"] = [kind["type"] for kind in kinds]
    return rest


def freeze() -> Path:
    """Write the schema of this version."""
    file = FROZEN / f"{VERSION}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
