"""The README.md of a model that the kit has written: where it comes from and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping

from unlearnkit.models.source import ModelSource


def model_card(
    base: ModelSource,
    *,
    run: str,
    kind: str,
    method: str,
    options: Mapping[str, object],
    data: Mapping[str, str],
) -> str:
    """A model card in the hub's format (YAML front matter, then Markdown).

    `run` is the run's id, `kind` and `method` what was done ("unlearn", "npo"), `data` maps a role ("forget",
    "retain") to the fingerprint of its data set. No text of any sample appears.
    """
    title = f"{base.architecture}, {kind} by {method}"
    rows = {"run": run, "base model": base.label, "base fingerprint": base.fingerprint}
    rows |= {f"{role} data": fingerprint for role, fingerprint in data.items()}
    rows |= {f"option {name}": json.dumps(value, default=str) for name, value in options.items()}
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        f"tags: [unlearnkit, {json.dumps(kind)}, {json.dumps(method)}]",
        "---",
        f"# {title}",
        "",
        "Written by unlearnkit.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(value)} |" for name, value in rows.items()),
    ]
    return "\n".join(lines) + "\n"


def _cell(value: str) -> str:
    return "`" + " ".join(value.split()).replace("`", "'").replace("|", "\\|") + "`"
