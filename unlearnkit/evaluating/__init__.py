"""Evaluation: one pass finds out all that the metrics of a split need, and rows are stored as pieces are done."""

from typing import TYPE_CHECKING, Any

from unlearnkit.evaluating.engine import VERSION, Part, columns, measure, measured, pieces

if TYPE_CHECKING:
    from unlearnkit.evaluating.probing import Evaluator

__all__ = ["VERSION", "Evaluator", "Part", "columns", "measure", "measured", "pieces"]


def __getattr__(name: str) -> Any:
    """What asks a model loads torch; who reads stored columns need not."""
    if name != "Evaluator":
        raise AttributeError(name)
    from unlearnkit.evaluating.probing import Evaluator

    return Evaluator
