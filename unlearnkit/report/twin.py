"""Two evaluations whose numbers can stand side by side, as they asked two models the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.figures import suite_of

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


def twin(place: Workplace, runs: Iterable[Run], one: Run) -> Run | None:
    """The first of some evaluations that asked what this one did: the same samples with the same other answers, in the
    same template, by the same suite with generations of the same length. One on a run's way does not say enough."""
    wanted = _asked(place, one)
    said = (run for run in runs if run.method == one.method and run.config.get("request"))
    return next((run for run in said if _asked(place, run) == wanted), None)


def _asked(place: Workplace, run: Run) -> tuple[Any, ...]:
    suite, longest = suite_of(place, run), run.config["request"].get("max_new_tokens")
    ends = {split: longest or of.max_new_tokens or suite.max_new_tokens for split, of in suite.splits.items()}
    return run.datasets, run.config.get("asked"), suite, ends
