"""Evaluation: one pass finds out all that the metrics of a split need, and rows are stored as pieces are done."""

from unlearnkit.evaluating.engine import VERSION, Part, columns, measure, measured, pieces
from unlearnkit.evaluating.probing import Evaluator, pad_id

__all__ = ["VERSION", "Evaluator", "Part", "columns", "measure", "measured", "pad_id", "pieces"]
