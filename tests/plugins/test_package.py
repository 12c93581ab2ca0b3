"""A package is checked where it lies: each of its names against a contract, in a process that takes nothing along."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from unlearnkit.contracts import API_VERSION
from unlearnkit.errors import BadInput, NotFound
from unlearnkit.testing.package import Result, check

HOOK = "from unlearnkit.hookspecs import hookimpl\n@hookimpl\n"
Write = Callable[[str], Path]

SEVERAL = """
    import dataclasses
    from unlearnkit.contracts import Aggregate, Algorithm, Metric, Term, Undefined
    from unlearnkit.hookspecs import hookimpl

    @dataclasses.dataclass(frozen=True)
    class Good(Algorithm):
        "Gradient ascent."
        uses_retain = False
        def losses(self, step):
            return {"forget": -step.scores(step.forget).nll}

    @dataclasses.dataclass(frozen=True)
    class Mean(Good):
        "One number for the whole batch."
        def losses(self, step):
            return {"forget": -step.scores(step.forget).nll.mean()}

    @dataclasses.dataclass(frozen=True)
    class Choosy(Good):
        "Has no default."
        size: int = dataclasses.field(kw_only=True)

    @dataclasses.dataclass(frozen=True)
    class Own(Metric):
        "How many samples there are."
        def measure(self, probe):
            return [float(len(probe.samples)) for _ in probe.samples]

    @dataclasses.dataclass(frozen=True)
    class Total(Aggregate):
        "Reads this package's own metric."
        def combine(self, columns, reference):
            found = columns.get(("forget", "own"))
            return Undefined("no_own") if found is None else found.mean

    @hookimpl
    def register_algorithms(): return {"good": Good, "mean": Mean, "choosy": Choosy, "gone": "nowhere:X"}
    @hookimpl
    def register_metrics(): return {"own": Own}
    @hookimpl
    def register_aggregates(): return {"total": Total}
    @hookimpl
    def register_suites(): return {"suite": "unlearnkit.suites:no_such.yaml"}
    @hookimpl
    def run_started(run): print("to nobody")
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A folder with a module of that source behind an entry point."""

    def of(source: str) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir()
        project = '[project]\nname = "mine"\n[project.entry-points.unlearnkit]\nmine = "mine_module"\n'
        (folder / "pyproject.toml").write_text(project)
        (folder / "mine_module.py").write_text(dedent(source))
        return folder

    return of


def test_each_name_is_run_through_the_contract_of_its_kind(write: Write):
    found = {(result.kind, result.name): result for result in check(write(SEVERAL))}
    assert {key: result.result for key, result in found.items()} == {
        ("algorithm", "good"): "passed",
        ("algorithm", "mean"): "failed",
        ("algorithm", "choosy"): "skipped",
        ("algorithm", "gone"): "failed",
        ("metric", "own"): "failed",
        ("aggregate", "total"): "passed",
        ("suite", "suite"): "failed",
        ("tracker", "mine"): "passed",
    }
    causes = {name: result.cause for (_, name), result in found.items()}
    assert "one loss a sample" in causes["mean"] and causes["choosy"] == "it needs options: size"
    assert "nowhere" in causes["gone"] and "no_such.yaml" in causes["suite"]
    assert causes["own"].startswith("a value is its samples own: sample 0 depends on its neighbours")
    assert "mine_module" not in sys.modules and all(cause.count("\n") == 0 for cause in causes.values())


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import os; os._exit(0)", "its process ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "its process died of signal 9"),
        ("import nowhere", "No module named 'nowhere'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ('unlearnkit_api = "2.0"', f"written for API 2.0, this is {API_VERSION}"),
        (f"{HOOK}def register_metrics(): return {{}}", "it offers nothing"),
    ],
)
def test_a_package_that_cannot_be_loaded_has_a_cause(write: Write, source: str, cause: str):
    assert check(write(source)) == [Result("package", "mine", "failed", cause)]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("raise OSError('no such server')", "OSError: no such server"),
        ("run.summary['loss']", "KeyError: 'loss'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_tracker_that_raises_fails(write: Write, body: str, cause: str):
    (found,) = check(write(f"{HOOK}def run_finished(run, error): {body}"))
    assert (found.kind, found.name, found.result) == ("tracker", "mine", "failed") and cause in found.cause


def test_a_loader_is_no_tracker(write: Write):
    assert check(write(f"{HOOK}def load_dataset(source, split): raise OSError")) == [
        Result("hook", "load_dataset", "passed")
    ]


def test_a_built_in_cannot_be_shadowed(write: Write):
    (found,) = check(write(f"{HOOK}def register_algorithms(): return {{'npo': 'x:X'}}"))
    assert (found.result, found.kind) == ("failed", "package")
    assert 'algorithm "npo" comes from both unlearnkit' in found.cause


def test_what_does_not_end_is_ended_with_all_that_it_started(write: Write, tmp_path: Path):
    here = tmp_path / "child"
    source = f"""
        import os, pathlib, time
        child = os.fork()
        if child:
            pathlib.Path({str(here)!r}).write_text(str(child))
        time.sleep(600)
    """
    (found,) = check(write(source), timeout=8)
    assert (found.result, found.cause) == ("failed", "not done after 8 s")
    stat = Path("/proc") / here.read_text() / "stat"
    while stat.is_file() and stat.read_text().split()[2] != "Z":  # or gone, once its new parent has looked
        time.sleep(0.01)


def test_a_wheel_is_read_where_it_lies(tmp_path: Path):
    path = tmp_path / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("mine.py", f"{HOOK}def run_started(run): ...\n")
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        wheel.writestr("mine-1.0.dist-info/entry_points.txt", "[unlearnkit]\nmine = mine\n")
    assert check(path) == [Result("tracker", "mine", "passed")]


@pytest.mark.parametrize(
    ("packed", "field", "value"),
    [
        (zipfile.ZIP_STORED, 6, b"\x01"),  # it says that it is encrypted
        (zipfile.ZIP_STORED, 8, b"\x63"),  # packed in a way that zipfile does not know
        (zipfile.ZIP_DEFLATED, 37, b"\xff" * 8),
        (zipfile.ZIP_LZMA, 46, b"\xff" * 8),
    ],
    ids=["encrypted", "unknown", "deflate", "lzma"],
)
def test_a_wheel_that_cannot_be_unpacked_is_refused(tmp_path: Path, packed: int, field: int, value: bytes):
    path = tmp_path / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", packed) as wheel:
        wheel.writestr("mine.py", "import unlearnkit\n" * 9)
    whole = bytearray(path.read_bytes())
    for start in (0, whole.index(b"PK\x01\x02") + 2)[: 1 if field > 30 else 2]:  # the directory has the fields too
        whole[start + field : start + field + len(value)] = value
    path.write_bytes(whole)
    with pytest.raises(BadInput) as caught:
        check(path)
    assert caught.value.code == "package" and str(path) in caught.value.message


def test_what_is_no_package_is_refused(tmp_path: Path):
    with pytest.raises(NotFound):
        check(tmp_path / "gone")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\n')
    (tmp_path / "torn.whl").write_text("not a zip")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as wheel:
        wheel.writestr("mine.py", "")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pyproject.toml").write_text("= [")
    for path in (".", "torn.whl", "empty.whl", "odd", "odd/pyproject.toml"):
        with pytest.raises(BadInput) as caught:
            check(tmp_path / path)
        assert caught.value.code == "package"
