"""unlearnkit: difficulty-aware unlearning for language models.

    import unlearnkit

    scores = unlearnkit.score("my-model", "forget.jsonl", store="lab.db")
    run = unlearnkit.unlearn("my-model", "forget.jsonl", "retain.jsonl", sampler="mrd", store="lab.db")
    found = unlearnkit.evaluate(run.model_dir, {"forget": "forget.jsonl", "retain": "retain.jsonl"}, store="lab.db")

Importing it is instant; torch and its like load when work begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import API_VERSION
from unlearnkit.version import __version__

if TYPE_CHECKING:
    from unlearnkit.api import (
        analyze_bias,
        analyze_difficulty,
        analyze_samples,
        attack,
        certificate,
        compare,
        diff,
        evaluate,
        find_runs,
        finetune,
        frame,
        import_logs,
        report_html,
        rerun,
        resume,
        score,
        split,
        sweep,
        unlearn,
    )
    from unlearnkit.store import Store

__all__ = [
    "API_VERSION",
    "Store",
    "__version__",
    "analyze_bias",
    "analyze_difficulty",
    "analyze_samples",
    "attack",
    "certificate",
    "compare",
    "diff",
    "evaluate",
    "find_runs",
    "finetune",
    "frame",
    "import_logs",
    "report_html",
    "rerun",
    "resume",
    "score",
    "split",
    "sweep",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from unlearnkit.store import Store

        return Store
    if name in __all__:
        from unlearnkit import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
