"""Where a use case works: settings, a store that is opened when it is first needed, and someone to report to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import Interrupted, NotFound, UnlearnkitError
from unlearnkit.progress import SILENT, Progress
from unlearnkit.runs.identity import environment
from unlearnkit.runs.stopping import Stop
from unlearnkit.settings import Settings, load_settings
from unlearnkit.suites import Suite, read
from unlearnkit.training.words import sharing

if TYPE_CHECKING:
    from unlearnkit.plugins import Plugins
    from unlearnkit.store import Store
    from unlearnkit.store.records import Run
    from unlearnkit.training.team import Team


@dataclass
class Workplace:
    """Settings, store and watcher of one or more use cases. A context manager: closes the store if it was opened."""

    settings: Settings = field(default_factory=load_settings)
    progress: Progress = SILENT
    argv: tuple[str, ...] = ()
    inexact: bool = False
    """Whether a run may go on in an environment that cannot give the same bits."""
    dry: bool = False
    """Whether nothing may be written: the store is only looked into, nothing is fetched and nothing converted."""
    resumed: Run | None = field(default=None, init=False)
    """The run that is gone on with: it stays that run, wherever it goes on."""
    stop: Stop = field(default_factory=Stop)

    @cached_property
    def store(self) -> Store:
        """The store, created and upgraded as needed. Not touched before input has been checked."""
        from unlearnkit.store import Store

        if self.dry:
            return Store.open(self.settings.store, still=True)
        found = Store.open(self.settings.store, upgrade=self.settings.upgrade)
        found.whole = self.stop.whole
        return found

    def reading(self) -> Store:
        """The store to look into: never created, and opened read-only where it cannot be written.

        Raises:
            NotFound: code `store`.
        """
        from unlearnkit.store import Store

        if "store" not in self.__dict__ and not self.dry:
            try:
                found = Store.open(self.settings.store, create=False, upgrade=self.settings.upgrade)
            except UnlearnkitError as error:
                if error.code != "read-only":
                    raise
                found = Store.open(self.settings.store, readonly=True)
            found.whole = self.stop.whole
            self.__dict__["store"] = found
        return self.store

    def check_store(self) -> None:
        """See that there is a store, or that one can be made, before anything that takes long.

        Raises:
            UnlearnkitError: what `Store.open` would.
        """
        from unlearnkit.store import Store

        Store.foresee(self.settings.store)

    def find(self, kind: str, identity: str) -> Run | None:
        """The run of a kind and identity; where there is no store yet, none is made to look into."""
        try:
            return self.reading().find(kind, identity)
        except NotFound:
            return None

    def environment(self) -> dict[str, Any]:
        """The environment that a run is identified by."""
        here = environment(self.settings)
        return here if self.resumed is None else dict(self.resumed.environment)

    def check_same(self, draft: Run) -> None:
        """See that a call that goes on with a run is still about that run.

        Raises:
            UnlearnkitError: code `changed`, where what determines its result is not what it was.
        """
        if self.resumed is None or self.resumed.kind != draft.kind or self.resumed.identity == draft.identity:
            return
        before = self.resumed
        names = ["the model"] if draft.model != before.model else []
        names += [f"the {role} set" for role, data in before.datasets.items() if draft.datasets.get(role) != data]
        what = ", ".join(names) or "the template, a plugin or the kit"
        raise UnlearnkitError(
            f"run {before.id} cannot go on: {what} is not what it was",
            hint="the command itself makes a new run of what is there now",
            code="changed",
        )

    @cached_property
    def team(self) -> Team:
        """The processes that work on this together. They find each other when this is first asked for."""
        from unlearnkit.training.team import Processes, Team

        shared = sharing(self.settings.parallel)
        return Team() if shared is None else Processes(shared)

    @cached_property
    def plugins(self) -> Plugins:
        from unlearnkit.plugins import plugins

        found = plugins()
        if self.settings.plugin_file is not None:
            found.load_file(self.settings.plugin_file)
        return found

    def suite(self, name: str) -> Suite:
        """The suite of a name, or of a user's own file, or several in one, joined by "+".

        Raises:
            NotFound: code `suite`, where there is none.
            BadInput: code `suite`, where the file is none, or two do not go together.
        """
        return reduce(Suite.beside, map(self._suite, name.split("+")))

    def _suite(self, name: str) -> Suite:
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            path = self.plugins.suite(name)
        elif not path.is_file():
            raise NotFound(f"no suite file at {path}", code="suite")
        return read(path, name)

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, *_: object) -> None:
        if "store" in self.__dict__:
            self.store.close()
            del self.__dict__["store"]

    @contextmanager
    def going_on_with(self, run: Run, settings: Settings) -> Iterator[None]:
        """Calls in here are about a run that was begun before, maybe elsewhere, under these settings."""
        before = self.resumed, self.settings
        self.resumed, self.settings = run, settings
        try:
            yield
        finally:
            self.resumed, self.settings = before

    @contextmanager
    def working(self, run: Run) -> Iterator[Run]:
        """Hold a run while working on it, and record how that ends.

        Raises:
            Interrupted: a signal asked to stop.
            UnlearnkitError: code `busy`, where another process works on it.
        """
        with self.stop.listening():
            run = self.store.claim(run.id)
            if self.resumed is not None and self.resumed.environment != environment(self.settings):
                run = self.store.mark_inexact(run.id)
            error: BaseException | None = None
            try:
                self.plugins.notify("run_started", run=run)
                yield run
            except (KeyboardInterrupt, Interrupted) as caught:
                said = caught.message if isinstance(caught, Interrupted) else "stopped; what was done is kept"
                error = Interrupted(said, hint=f"unlearnkit resume {run.id}")
                self.store.finish(run.id, "failed", error_code="interrupted", error="stopped by a signal")
                raise error from caught
            except BaseException as caught:
                error = caught
                self._record(run, caught)
                raise
            finally:
                self.plugins.notify("run_finished", run=self.store.run(run.id), error=error)

    def _record(self, run: Run, error: BaseException) -> None:
        if isinstance(error, UnlearnkitError):
            state: Any = "diverged" if error.code == "diverged" else "failed"
            self.store.finish(run.id, state, error_code=error.code, error=error.message)
        else:
            text = f"{type(error).__name__}: {error}"
            self.store.finish(run.id, "failed", error_code="internal", error=text)


@contextmanager
def silent(place: Workplace) -> Iterator[None]:
    """What is done in here says nothing: it has said it before, or will when it is done again."""
    progress, place.progress = place.progress, SILENT
    try:
        yield
    finally:
        place.progress = progress
