"""Scoring: a bench that a scorer measures on, and the engine that stores what it finds."""

from unlearnkit.scoring.bench import ModelBench
from unlearnkit.scoring.engine import VERSION, Ledger, Outcome, here, measure, open_bench
from unlearnkit.scoring.work import Work
from unlearnkit.scoring.workers import Crew

__all__ = ["VERSION", "Crew", "Ledger", "ModelBench", "Outcome", "Work", "here", "measure", "open_bench"]
