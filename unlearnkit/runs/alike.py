"""Which metrics an evaluation and its reference were measured by alike, so that their values can be held against each
other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from unlearnkit.contracts import Metric
from unlearnkit.errors import UnlearnkitError
from unlearnkit.plugins import options_of
from unlearnkit.runs.figures import Metrics, suite_of
from unlearnkit.store import records

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.suites import Use


def alike(
    place: Workplace, mine: Mapping[str, Mapping[str, str]] | None, against: records.Run, metrics: Metrics
) -> Metrics:
    """Those of an evaluation's metrics that its reference was measured by too: by all that determines their values
    besides the model, `mine` and what that run says (`EvalTask.measured`). One that was imported, or that an early
    version made, says nothing: there plugin and options have to do."""
    theirs = against.config.get("measured")
    if mine is not None and theirs is not None:
        same = {
            (split, name)
            for split, of in mine.items()
            for name, key in of.items()
            if theirs.get(split, {}).get(name) == key
        }
    else:
        same = set(_same_options(place, against, metrics))
    return {key: metric for key, metric in metrics.items() if key in same}


def _same_options(place: Workplace, against: records.Run, metrics: Metrics) -> Iterator[tuple[str, str]]:
    for split, of in suite_of(place, against).splits.items():
        for use in of.metrics:
            if (split, use.name) in metrics and _is(place, use, metrics[split, use.name]):
                yield split, use.name


def _is(place: Workplace, use: Use, metric: Metric) -> bool:
    """Whether a metric is what was used elsewhere; a use that cannot be built any more is another one."""
    try:
        used = place.plugins.build("metric", use.plugin, use.options)
    except UnlearnkitError:
        return False
    return type(used) is type(metric) and options_of(used) == options_of(metric)
