"""Tasks of the Language Model Evaluation Harness (lm-eval) as evaluations: `unlearnkit lm-eval MODEL --tasks …`.

lm-eval asks and scores; its numbers are stored per sample as a run, which reports and comparisons read as any other.
"""

from __future__ import annotations

from unlearnkit.hookspecs import hookimpl

unlearnkit_api = "1.0"


@hookimpl
def register_metrics() -> dict[str, str]:
    return {"lm-eval": "unlearnkit_lm_eval.metric:LmEval"}
