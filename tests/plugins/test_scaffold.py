"""What `plugins new` writes works as it is: it is found by its entry point and passes its own contract test."""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import unlearnkit.testing.wrapper  # noqa: F401 - torch loads once in a process: not in a pytester, which forgets it again
from unlearnkit import scaffold, testing
from unlearnkit.contracts import API_VERSION, KINDS
from unlearnkit.errors import BadInput
from unlearnkit.plugins import Plugins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytest_plugins = "pytester"


def test_there_is_a_template_for_what_an_author_would_write():
    assert set(scaffold.kinds()) == {*KINDS, "suite", "tracker"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A package of every kind."""
    folders = {kind: tmp_path_factory.mktemp("new") / kind for kind in scaffold.kinds()}
    for kind, folder in folders.items():
        scaffold.write(kind, f"my-{kind}", folder)
    return folders


@pytest.mark.parametrize("kind", scaffold.kinds())
def test_a_new_package_is_found_by_its_entry_point(
    kind: str, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    project = tomllib.loads((packages[kind] / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"unlearnkit-my-{kind}"
    ((name, value),) = project["entry-points"]["unlearnkit"].items()
    monkeypatch.syspath_prepend(packages[kind])
    found = Plugins([EntryPoint(name, value, "unlearnkit")], strict=True)
    if kind == "tracker":
        hooks = {"run_started", "step_finished", "evaluated", "run_finished"}
        assert {hook.name for hook in found.hooks() if hook.distribution == name} == hooks
    elif kind == "suite":
        assert found.suite(f"my-{kind}") == packages[kind] / "unlearnkit_my_suite" / "suite.yaml"
    else:
        assert found.describe(kind, f"my-{kind}").summary
        assert found.build(kind, f"my-{kind}", {})


@pytest.mark.parametrize("kind", scaffold.kinds())
def test_a_new_module_can_be_tried_out_as_a_file(kind: str, packages: dict[str, Path]):
    """As `plugin_file` names it: nothing is installed, and its folder is on no path."""
    (file,) = (path for path in packages[kind].rglob("*.py") if path.parent.name != "tests")
    found = Plugins((), strict=True)
    found.load_file(file)
    if kind == "tracker":
        assert found.trackers()
    elif kind == "suite":
        assert found.suite("my-suite") == file.parent / "suite.yaml"
    else:
        assert inspect.getfile(type(found.build(kind, f"my-{kind}", {}))) == str(file)
        assert found.code(kind, f"my-{kind}")[3]


@pytest.mark.parametrize("kind", scaffold.kinds())
def test_the_authors_part_is_short(kind: str, packages: dict[str, Path]):
    modules = [path for path in packages[kind].rglob("*.py") if path.parent.name != "tests"]
    assert sum(len(path.read_text().splitlines()) for path in modules) <= 40
    assert f'unlearnkit_api = "{API_VERSION}"' in modules[0].read_text()


@pytest.mark.parametrize("kind", scaffold.kinds())
def test_a_new_package_passes_its_own_tests(
    kind: str, packages: dict[str, Path], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(packages[kind])
    ran = pytester.runpytest_inprocess("-q", packages[kind] / "tests")
    contract = getattr(testing, f"{kind.capitalize()}Contract")
    ran.assert_outcomes(passed=sum(name.startswith("test_") for name in dir(contract)))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("algorithm", ""),
        ("algorithm", "My"),
        ("algorithm", "my method"),
        ("algorithm", "../x"),
        ("algorithm", "1st"),
        ("algorithm", "a--b"),
        ("algorithm", "none"),
        ("algorithm", "npo"),
        ("metric", "rouge"),
        ("suite", "tofu"),
        ("nonsense", "x"),
    ],
)
def test_what_cannot_be_written_is_refused(kind: str, name: str, tmp_path: Path):
    with pytest.raises(BadInput):
        scaffold.write(kind, name, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "notes").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes"):
        with pytest.raises(BadInput, match="not empty"):
            scaffold.write("algorithm", "mine", folder)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_an_empty_folder_is_fine(tmp_path: Path):
    written = scaffold.write("metric", "half_known", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == [
        "pyproject.toml",
        "tests/test_unlearnkit_half_known.py",
        "unlearnkit_half_known.py",
    ]
