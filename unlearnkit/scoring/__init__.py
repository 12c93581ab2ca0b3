"""Scoring: a bench that a scorer measures on, and the engine that stores what it finds."""

from unlearnkit.scoring.bench import ModelBench
from unlearnkit.scoring.engine import VERSION, Ledger, Outcome, measure, open_bench
from unlearnkit.scoring.work import BATCH_SIZE, Work

__all__ = ["BATCH_SIZE", "VERSION", "Ledger", "ModelBench", "Outcome", "Work", "measure", "open_bench"]
