"""A package that is not installed, checked: each name that it offers against the contract of its kind.

Its code runs in a process of its own, with its source on the path and no installed plugin loaded, so that nothing of it
stays in this process or in the environment. That keeps mistakes apart, not malice.
"""

from __future__ import annotations

import json
import lzma
import os
import signal
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from unlearnkit.errors import BadInput, NotFound
from unlearnkit.plugins.hooks import GROUP

UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What an archive raises that is damaged, encrypted or packed in a way that nobody here knows."""

CHECKED = "a folder with pyproject.toml, a .whl or a .py"

WORKER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from unlearnkit.testing.worker import main
main(*sys.argv[2:])
"""


@dataclass(frozen=True)
class Result:
    """What came of one name: `cause` says in one line why it "failed" or was "skipped". The kind "package" is for what
    belongs to no name."""

    kind: str
    name: str
    result: Literal["passed", "failed", "skipped"]
    cause: str = ""

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Package:
    """Where a package's modules are, and its entry points. A single file has neither: it is loaded itself."""

    name: str
    paths: tuple[str, ...] = ()
    entry_points: tuple[tuple[str, str], ...] = ()
    file: str | None = None


def check(path: Path, timeout: float = 300) -> list[Result]:
    """Run a package's plugins through the contracts of `unlearnkit.testing`.

    Args:
        path: a folder with a pyproject.toml, a wheel, or a Python file.
        timeout: seconds, after which the process is ended.

    Raises:
        NotFound: code "plugin": nothing there.
        BadInput: code "package": no package, or one without entry points for this kit.
    """
    with TemporaryDirectory(prefix="unlearnkit-check-") as name:
        folder = Path(name)
        package = _package(path, folder / "wheel")
        asked, found, work = folder / "asked.json", folder / "found.jsonl", folder / "work"
        asked.write_text(json.dumps(asdict(package)), encoding="utf-8")
        work.mkdir()
        ended = _run([str(asked), str(found)], work, timeout)
        rows = [json.loads(line) for line in found.read_text("utf-8").splitlines()] if found.is_file() else []
    results = [Result(**row) for row in rows if "result" in row]
    if rows[-1:] != [{"end": True}]:  # what was begun last has no result
        last = rows[-1] if rows and "result" not in rows[-1] else {"kind": "package", "name": package.name}
        results.append(Result(last["kind"], last["name"], "failed", ended))
    return results or [Result("package", package.name, "failed", "it offers nothing")]


def _run(words: list[str], work: Path, timeout: float) -> str:
    """Run the worker in a folder; how it ended, in words."""
    paths = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 - "" is the working folder
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(paths), *words],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, start_new_session=True,
    )  # fmt: skip
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"not done after {timeout:g} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
        process.wait()
    return f"its process ended with exit code {code}" if code >= 0 else f"its process died of signal {-code}"


def _package(path: Path, unpacked: Path) -> Package:
    if path.suffix == ".py" and path.is_file():
        return Package(path.stem, file=str(path.resolve()))
    if path.suffix == ".whl" and path.is_file():
        return _from_wheel(path, unpacked)
    if (path / "pyproject.toml").is_file():
        return _from_folder(path.resolve())
    if not path.exists():
        raise NotFound(f"nothing at {path}", hint=CHECKED, code="plugin")
    raise BadInput(f"{path} is no package", hint=CHECKED, code="package")


def _from_wheel(path: Path, unpacked: Path) -> Package:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(unpacked)
    except UNREADABLE as error:
        raise BadInput(f"{path}: {error}", code="package") from error
    found = next(iter(distributions(path=[str(unpacked)])), None)
    if found is None:
        raise BadInput(f"{path} is no wheel: it has no metadata", code="package")
    points = tuple((point.name, point.value) for point in found.entry_points.select(group=GROUP))
    return _with_points(Package(found.name, (str(unpacked),), points), path)


def _from_folder(path: Path) -> Package:
    """A source tree, as its pyproject.toml describes it: modules lie in the folder itself or in src/."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        points = tuple(project.get("entry-points", {}).get(GROUP, {}).items())
        package = Package(project["name"], (str(path / "src"), str(path)), points)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, AttributeError) as error:
        raise BadInput(f"{path / 'pyproject.toml'}: {type(error).__name__}: {error}", code="package") from error
    return _with_points(package, path)


def _with_points(package: Package, path: Path) -> Package:
    if not package.entry_points:
        raise BadInput(
            f"{path} has no plugin for this kit", hint=f"name a module under [project.entry-points.{GROUP}]",
            code="package",
        )  # fmt: skip
    return package
