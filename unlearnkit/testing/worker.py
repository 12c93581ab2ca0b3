"""The process in which `package.check` runs a package's code. It writes a line when it begins with a name and one when
it is done with it, so that what ends the process is known by where that happened."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from unlearnkit.contracts import KINDS
from unlearnkit.errors import UnlearnkitError
from unlearnkit.plugins import Plugins
from unlearnkit.plugins.hooks import GROUP, SUITE, TOLD
from unlearnkit.plugins.origin import cause_of

TRACKER = "tracker"


def main(asked: str, found: str) -> None:
    """Check the package that a file describes, and write what comes of it, line by line."""
    package = json.loads(Path(asked).read_text(encoding="utf-8"))
    with Path(found).open("w", encoding="utf-8", buffering=1) as out:
        for row in _checked(package):
            out.write(json.dumps(row) + "\n")
        out.write(json.dumps({"end": True}) + "\n")


def _checked(package: dict[str, Any]) -> Iterator[dict[str, str]]:
    sys.path[:0] = package["paths"]
    plugins = Plugins([EntryPoint(name, value, GROUP) for name, value in package["entry_points"]])
    if package["file"] is not None:
        plugins.load_file(Path(package["file"]))
    for broken in plugins.broken():
        yield _row("package", broken.plugin, broken.cause)
    for kind in (*KINDS, SUITE):
        try:
            offers = plugins.offers(kind)
        except UnlearnkitError as error:  # a name is offered twice, or is a built-in's
            yield _row("package", package["name"], str(error))
            continue
        for name, offer in offers.items():
            if offer.distribution != GROUP:
                yield {"kind": kind, "name": name}
                yield _tried(plugins, kind, name)
    for name in plugins.trackers():
        yield {"kind": TRACKER, "name": name}
        yield _tried(plugins, TRACKER, name)
    for offer in plugins.hooks():
        if offer.name not in TOLD:  # their names and arguments are checked where a plugin is loaded
            yield _row(offer.kind, offer.name, "")


def _tried(plugins: Plugins, kind: str, name: str) -> dict[str, str]:
    """A name through the contract of its kind, until something is not as it should be."""
    try:
        if kind in KINDS and (needed := [o.name for o in plugins.describe(kind, name).options if o.required]):
            return {"kind": kind, "name": name, "result": "skipped", "cause": f"it needs options: {', '.join(needed)}"}
        case = _case(plugins, kind, name)
    except (Exception, SystemExit) as error:
        return _row(kind, name, _cause(error))
    for test in (test for test in dir(case) if test.startswith("test_")):
        try:
            getattr(case(), test)()
        except (Exception, SystemExit) as error:
            return _row(kind, name, f"{test.removeprefix('test_').replace('_', ' ')}: {_cause(error)}")
    return _row(kind, name, "")


def _case(plugins: Plugins, kind: str, name: str) -> Any:
    """The contract of a kind, about one name."""
    from unlearnkit import testing

    if kind == TRACKER:
        about: dict[str, Any] = {"plugin": plugins.trackers()[name]}
    elif kind == SUITE:
        about = {"plugins": lambda _: plugins, "suite": plugins.offers(kind)[name].target}
    else:
        about = {"plugin": plugins.resolve(kind, name)}
    if kind == "aggregate":  # it may read the package's own metrics
        about["metrics"] = tuple(plugins.offers("metric"))
    return type(name, (getattr(testing, f"{kind.capitalize()}Contract"),), about)


def _cause(error: BaseException) -> str:
    """An error in one line: of an assertion that says nothing, what it asserts."""
    if isinstance(error, AssertionError):
        line = traceback.extract_tb(error.__traceback__)[-1].line
        return " ".join(str(error).split()) or line or "AssertionError"
    hint = f" ({error.hint})" if isinstance(error, UnlearnkitError) and error.hint else ""
    return cause_of(error) + hint


def _row(kind: str, name: str, cause: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "result": "failed" if cause else "passed", "cause": cause}
