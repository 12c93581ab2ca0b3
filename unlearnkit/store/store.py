"""Opening a store: see what is there, bring it to the newest schema, hand out the one object that speaks SQL."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType

import platformdirs
import sqlalchemy as sa

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import connect, recognise, schema, upgrade
from unlearnkit.store.annotations import Annotations
from unlearnkit.store.care import Care
from unlearnkit.store.catalogue import Catalogue
from unlearnkit.store.connect import Mode, Place
from unlearnkit.store.export import Export
from unlearnkit.store.files import FileArea
from unlearnkit.store.merge import Merge
from unlearnkit.store.results import Results
from unlearnkit.store.scores import Scores
from unlearnkit.store.training import Training


class Store(Catalogue, Merge, Annotations, Scores, Training, Results, Export, Care):
    """Every model, data set, run, score and result of a piece of work, in one SQLite file or PostgreSQL database.

    All writing is idempotent: what is there already is found, not made again. When a call that writes returns, what it
    wrote is on the disk; a process that is killed leaves nothing half done.
    """

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        create: bool = True,
        upgrade: bool = True,
        readonly: bool = False,
        still: bool = False,
    ) -> Store:
        """Open the store at a path or SQLAlchemy URL.

        :param create: make it where nothing, or an empty file, is there.
        :param upgrade: bring an older store to the newest schema, after a copy; else code "store-older".
        :param readonly: write nothing, and neither create nor upgrade.
        :param still: the same, and leave nothing of SQLite's own beside the file; for a look that is soon over, as
            what is written meanwhile may be seen by half.
        :raises NotFound: code "store": nothing there, or no folder to keep it in.
        :raises UnlearnkitError: codes "not-a-store", "store-foreign", "store-newer", "store-older", "read-only",
            "corrupt", "busy", "store-connection".
        """
        place = connect.locate(where)
        mode: Mode = "still" if still else "ro" if readonly else "rw"
        readonly = mode != "rw"
        with connect.plainly(place):
            _prepare(place, create=create and not readonly, renew=upgrade and not readonly, mode=mode)
            engine = connect.engine(place, mode)
            try:
                with connect.reading(engine).begin() as connection:
                    uuid = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.key == "uuid"))
                store = cls(engine, place, str(uuid), FileArea(_files(place, str(uuid))), readonly=readonly)
                if not readonly:
                    store._collect()
            except BaseException:
                engine.dispose()
                raise
        return store

    @staticmethod
    def foresee(where: str | Path) -> None:
        """See that something is at a path, or that a store can be made there; a file is not opened, nor a server asked.
        Raises what `open` would."""
        path = connect.locate(where).path
        if path is not None:
            recognise.examine(path, create=True)
            if not path.exists():
                recognise.require_writable(path)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _prepare(place: Place, *, create: bool, renew: bool, mode: Mode) -> None:
    """See to it that the place holds a store of the newest schema, or say why it does not."""
    if place.path:
        recognise.examine(place.path, create=create)
        if mode == "rw":
            recognise.require_writable(place.path)
            _touch(place.path)
    version = _version(place, mode)
    if version == schema.revisions()[-1]:
        return
    if version is None and not create:
        raise recognise.no_store(place)
    if version is not None and not renew:
        raise UnlearnkitError(
            f"{place} has schema {version}, this program needs {schema.revisions()[-1]}",
            hint="open it for writing with upgrading allowed; a copy is made first",
            code="store-older",
        )
    upgrade.to_newest(place)


def _version(place: Place, mode: Mode) -> str | None:
    if place.path:
        return recognise.identify(place.path, mode)
    engine = connect.engine(place)
    try:
        with engine.connect() as server:
            version = upgrade.revision(server)
    finally:
        engine.dispose()
    if version is not None:
        recognise.require_known(version, place)
    return version


def _touch(path: Path) -> None:
    """An empty file that only its owner can read, where there is none; SQLite gives its log the same rights."""
    try:
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
    except OSError as error:  # the folder may be written to, and yet takes no file
        raise recognise.cannot_write(path, error.strerror or "") from error


def _files(place: Place, uuid: str) -> Path:
    """Beside a file; a server's checkpoints stay on the machine that trains."""
    if place.path:
        return place.path.with_name(place.path.name + ".files")
    return platformdirs.user_data_path("unlearnkit") / f"{uuid}.files"
