"""Scoring: a bench that a scorer measures on, and the engine that stores what it finds."""

from typing import TYPE_CHECKING, Any

from unlearnkit.scoring.engine import VERSION, Ledger, Outcome, here, measure, open_bench
from unlearnkit.scoring.work import Work
from unlearnkit.scoring.workers import Crew

if TYPE_CHECKING:
    from unlearnkit.scoring.bench import ModelBench

__all__ = ["VERSION", "Crew", "Ledger", "ModelBench", "Outcome", "Work", "here", "measure", "open_bench"]


def __getattr__(name: str) -> Any:
    """What asks a model loads torch; who looks for stored scores need not."""
    if name != "ModelBench":
        raise AttributeError(name)
    from unlearnkit.scoring.bench import ModelBench

    return ModelBench
