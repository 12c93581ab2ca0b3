"""For evaluations that another program measures: find a model and the run that wrote it, and record what was found."""

from __future__ import annotations

from unlearnkit.data.samples import ids_apart
from unlearnkit.data.sources import offline
from unlearnkit.runs.evaluate import EvalReport, run_source
from unlearnkit.runs.figures import figures_of, metrics_of
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import find_model
from unlearnkit.runs.weights import writer
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import new_id, records
from unlearnkit.suites import Split, Suite, Use

__all__ = [
    "EvalReport",
    "Split",
    "Suite",
    "Use",
    "Workplace",
    "digest",
    "figures_of",
    "find_model",
    "ids_apart",
    "metrics_of",
    "new_id",
    "offline",
    "records",
    "run_source",
    "writer",
]
