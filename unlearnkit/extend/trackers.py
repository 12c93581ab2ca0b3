"""For trackers: what of a run they note."""

from __future__ import annotations

from typing import Any

from unlearnkit.store.records import Run

__all__ = ["Run", "facts"]

_PLAIN = ("sampler", "wrapper", "adapter", "template", "threshold", "step")
_GROUPS = ("options", "sampler_options", "wrapper_options", "adapter_options", "plan")


def facts(run: Run) -> dict[str, Any]:
    """What was asked for, flat ("options.beta", "plan.lr"), without paths, texts or the command line."""
    found = {"run": run.id, "kind": run.kind, "method": run.method, "model": run.model, "seed": run.seed}
    found |= {"parent": run.parent} if run.parent else {}
    found |= {key: run.config[key] for key in _PLAIN if run.config.get(key) is not None}
    return found | {f"{group}.{key}": value for group in _GROUPS for key, value in run.config.get(group, {}).items()}
