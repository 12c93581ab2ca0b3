"""The wheel is whole: made from the sdist and installed where the checkout cannot be seen, it works. What it
imports is declared, and what targets make can be removed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import unlearnkit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]

OPEN_A_STORE = """
import unlearnkit
from unlearnkit.store import Store, schema

with Store.open("lab.db") as store:
    assert store.info()["schema"] == schema.revisions()[-1]
print(unlearnkit.__file__, schema.MIGRATIONS, sep="\\n")
"""


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    env |= {"SOURCE_DATE_EPOCH": "1700000000", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    ran = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, as an index's copy would be."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel alone. The dependencies are seen by their path, where the
    checkout's own editable install, which hangs on a .pth file, is not."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder)
    (binaries, site) = (Path(sysconfig.get_path(name, vars={"base": str(folder)})) for name in ("scripts", "purelib"))
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet"]
    run(*pip, "--no-index", "--no-deps", wheel, cwd=folder)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return binaries


def test_everything_in_the_package_is_in_the_wheel(wheel: Path):
    expected = {str(path.relative_to(ROOT)) for path in files(ROOT / "unlearnkit")}
    expected |= {f"unlearnkit/{path.relative_to(ROOT)}" for path in files(ROOT / "migrations")}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == expected


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_it_opens_a_store_by_its_own_migrations(installed: Path, tmp_path: Path):
    found = [Path(line) for line in run(installed / "python", "-c", OPEN_A_STORE, cwd=tmp_path).split()]
    assert all(path.is_relative_to(installed.parent) for path in found)
    assert (tmp_path / "lab.db").is_file()


def test_its_commands_work(installed: Path, tmp_path: Path):
    command = installed / "unlearnkit"
    assert run(command, "--version", cwd=tmp_path) == f"unlearnkit {unlearnkit.__version__}\n"
    assert "npo" in run(command, "plugins", "list", "--format", "csv", cwd=tmp_path)
    run(command, "plugins", "new", "mine", "--kind", "metric", cwd=tmp_path)
    assert (tmp_path / "mine" / "pyproject.toml").is_file()


# ------------------------------------------------------------------------------------------------------- the checkout

UNDECLARED = {"bitsandbytes", "pandas"}
"""Used where a user has them, and asked for by name where not."""
PARTS = {"pydantic-core", "tokenizers"}
"""Pinned by pydantic and transformers, which are declared."""


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for of in project["optional-dependencies"].values() for one in of)]
    declared = {normal(re.match(r"[\w.-]+", one)[0]) for one in wanted}
    known = packages_distributions()
    found = {name for file in (ROOT / "unlearnkit").rglob("*.py") for name in imported(file)}
    outside = found - sys.stdlib_module_names - {"unlearnkit", "tomllib"}
    assert {"click", "torch", "yaml"} <= outside
    names = {normal(known.get(name, [name])[0]) for name in outside}
    assert names - declared == UNDECLARED | PARTS


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported(file: Path) -> Iterator[str]:
    """The packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_clean_removes_all_that_targets_make(tmp_path: Path):
    """Folders that git does not see, but for those that a user's own commands write."""
    ignored = re.findall(r"^([\w.-]+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
    made = set(ignored) - {"__pycache__", "unlearned", "finetuned"}
    assert {"artefacts", "site", ".venv"} <= made
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in made:
        (tmp_path / name).mkdir()
    subprocess.run(["make", "-s", "clean"], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
