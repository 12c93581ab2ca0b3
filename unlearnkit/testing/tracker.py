"""What a tracker must keep to: a plugin that listens to runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from unlearnkit.errors import Interrupted
from unlearnkit.plugins import Plugins
from unlearnkit.plugins.hooks import new_manager
from unlearnkit.store.records import Run

TERMS = {"loss": 0.5, "forget": 0.25, "lr": 1e-4, "epoch": 1.0}


class TrackerContract:
    """Takes what the kit tells of runs in any order that it may come in, and raises nothing.

    Calls are made in an empty working folder. What ended up where is for tests of one's own: `told` makes the calls."""

    kind: ClassVar[str] = "tracker"
    plugin: ClassVar[object]
    """The module with the hooks."""

    def told(self, hook: str, **facts: object) -> None:
        """Call one hook, as far as the plugin has it, and let errors through."""
        manager = new_manager()
        manager.register(self.plugin)
        getattr(manager.hook, hook)(**facts)

    def test_hooks_and_arguments_exist(self) -> None:
        Plugins(entry_points=(), extra=[self.plugin], strict=True)

    def test_a_run_from_start_to_end(self) -> None:
        with _elsewhere():
            run = made_run("unlearn")
            self.told("run_started", run=run)
            for step in (1, 2):
                self.told("step_finished", run=run, step=step, terms=TERMS)
            self.told("run_finished", run=made_run("unlearn", state="complete", summary={"steps": 2}), error=None)

    def test_a_run_that_is_gone_on_with(self) -> None:
        with _elsewhere():
            run = made_run("unlearn")
            for step, error in ((1, Interrupted("stopped")), (2, None)):
                self.told("run_started", run=run)
                self.told("step_finished", run=run, step=step, terms=TERMS)
                self.told("run_finished", run=run, error=error)

    def test_an_evaluation_on_a_training_runs_way(self) -> None:
        with _elsewhere():
            outer = made_run("unlearn")
            inner = made_run("eval", id="01K0000000000000000000EVAL", parent=outer.id, config={"step": 1})
            self.told("run_started", run=outer)
            self.told("run_started", run=inner)
            self.told("evaluated", run=inner, figures={"forget.probability": 0.25, "forget_quality": None})
            self.told("run_finished", run=inner, error=None)
            self.told("step_finished", run=outer, step=2, terms=TERMS)
            self.told("run_finished", run=outer, error=None)

    def test_a_run_that_fails_before_its_first_step(self) -> None:
        with _elsewhere():
            run = made_run("finetune")
            self.told("run_started", run=run)
            self.told("run_finished", run=made_run("finetune", state="failed"), error=RuntimeError("no memory"))


def made_run(kind: Any, *, config: Mapping[str, Any] | None = None, **changed: Any) -> Run:
    """A record of a run, as hooks are given one."""
    plain: dict[str, Any] = {
        "id": "01K00000000000000000000RUN", "kind": kind, "identity": "0" * 64, "state": "running", "method": "npo",
        "model": "1" * 64, "datasets": {"forget": "2" * 64}, "environment": {"torch": "2.6"},
        "config": {"options": {"beta": 0.1, "layers": [1, 2]}, "sampler": None, **(config or {})},
    }  # fmt: skip
    return Run(**{**plain, **changed})


@contextmanager
def _elsewhere() -> Iterator[None]:
    """A working folder that is gone afterwards."""
    before = os.getcwd()  # noqa: PTH109 - as chdir takes it
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
