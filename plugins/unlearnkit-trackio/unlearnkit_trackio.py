"""Runs in Trackio: each is one there, with its options as configuration and its steps and figures as metrics.

A run that is gone on with stays the same run. Where Trackio fails once, it is left alone for the rest of the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from unlearnkit.extend.trackers import Run, facts
from unlearnkit.hookspecs import hookimpl

if TYPE_CHECKING:
    import trackio

unlearnkit_api = "1.0"

_open: dict[str, trackio.Run] = {}
"""The one run that Trackio has open: opening another closes it."""
_followed: set[str] = set()
"""Runs that this process works on."""


@hookimpl
def run_started(run: Run) -> None:
    _followed.add(run.id)
    with _tracking(run) as tracked:
        del tracked


@hookimpl
def step_finished(run: Run, step: int, terms: Mapping[str, float]) -> None:
    with _tracking(run) as tracked:
        if tracked is not None:
            tracked.log(dict(terms), step=step)


@hookimpl
def evaluated(run: Run, figures: Mapping[str, float | None]) -> None:
    with _tracking(run) as tracked:
        if tracked is not None:
            tracked.log({n: v for n, v in figures.items() if v is not None}, step=run.config.get("step", 0))


@hookimpl
def run_finished(run: Run, error: BaseException | None) -> None:
    with _tracking(run) as tracked:
        if tracked is not None:
            if error is not None:
                tracked.alert(f"{run.kind} {run.method} {run.status}", str(error))
            tracked.finish()
            _open.clear()
    _followed.discard(run.id)


@contextmanager
def _tracking(run: Run) -> Iterator[trackio.Run | None]:
    """Trackio's run, opened where it is not; None once something failed. What Trackio says is no data of ours."""
    if run.id not in _followed:
        yield None
        return
    try:
        with redirect_stdout(sys.stderr):
            yield _opened(run)
    except BaseException:
        _followed.discard(run.id)
        raise


def _opened(run: Run) -> trackio.Run:
    import trackio

    if run.id not in _open:
        _open.clear()
        _open[run.id] = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "unlearnkit"), name=f"{run.kind}-{run.method}-{run.id}",
            group=run.parent or run.id, config=facts(run), resume="allow", embed=False,
            auto_log_cpu=False, auto_log_gpu=False,
        )  # fmt: skip
    return _open[run.id]
