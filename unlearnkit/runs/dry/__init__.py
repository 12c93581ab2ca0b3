"""What a command would do, computed from the store and the inputs alone: no model is loaded and nothing is written.

The commands' own planning says what is to be done; here it is counted and priced.
"""

from unlearnkit.runs.dry.plan import Disk, Forecast, Memory, Option, Seconds, Stage
from unlearnkit.runs.dry.sweeping import Total, sweeping
from unlearnkit.runs.dry.use import attacking, evaluating, finetuning, scoring, unlearning

__all__ = [
    "Disk",
    "Forecast",
    "Memory",
    "Option",
    "Seconds",
    "Stage",
    "Total",
    "attacking",
    "evaluating",
    "finetuning",
    "scoring",
    "sweeping",
    "unlearning",
]
