"""The kit and all distributions of plugins/, built as wheels and installed together, where no checkout is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unlearnkit.plugins.hooks import HOOK

from .conftest import ROOM

pytestmark = pytest.mark.slow

NAMES = sorted(path.name for path in ROOM.iterdir() if (path / "pyproject.toml").is_file())
NEEDS = {"unlearnkit-lm-eval": "lm_eval", "unlearnkit-lora": "peft", "unlearnkit-mlflow": "mlflow"}
"""What tests of a distribution cannot be read without; others skip by themselves."""


def run(*words: object, cwd: Path, site: Path | None = None, fails: bool = False) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "UNLEARNKIT_"))}
    env |= {"UNLEARNKIT_STRICT": "1", "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1700000000"}
    env |= {"PYTHONPATH": str(site)} if site else {}
    command = [sys.executable, *map(str, words)]
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode != 0) == fails, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name, the kit's among them."""
    out = tmp_path_factory.mktemp("dist")
    found = {}
    for name, source in {"unlearnkit": ROOM.parent, **{name: ROOM / name for name in NAMES}}.items():
        run("-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
        (found[name],) = out.glob(f"{name.replace('-', '_')}-[0-9]*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of them are installed in."""
    target = tmp_path_factory.mktemp("site")
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target)
    run(*pip, *wheels.values(), cwd=target)
    return target


def test_all_are_found_together(site: Path, tmp_path: Path):
    where = run("-c", "import unlearnkit; print(unlearnkit.__file__)", cwd=tmp_path, site=site)
    assert Path(where.strip()).is_relative_to(site)
    listed = json.loads(run("-m", "unlearnkit", "plugins", "--format", "json", cwd=tmp_path, site=site))
    assert listed["broken"] == []
    others = {(row["kind"], row["name"], row["distribution"]) for row in listed["plugins"]}
    assert {row for row in others if row[2] != "unlearnkit"} == {
        ("algorithm", "clipped-graddiff", "unlearnkit-example"),
        ("adapter", "lora", "unlearnkit-lora"),
        ("metric", "lm-eval", "unlearnkit-lm-eval"),
        (HOOK, "load_model", "unlearnkit-lora"),
        *(
            (HOOK, hook, f"unlearnkit-{tracker}")
            for tracker in ("mlflow", "trackio")
            for hook in ("run_started", "step_finished", "evaluated", "run_finished")
        ),
    }
    assert "lm-eval" in run("-m", "unlearnkit", "--help", cwd=tmp_path, site=site)


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_that_is_not_installed_is_checked(wheels: dict[str, Path], name: str, site: Path, tmp_path: Path):
    if needed := NEEDS.get(name):
        pytest.importorskip(needed, reason=f"{name} needs {needed}")
    words = ("-m", "unlearnkit", "plugins", "check", wheels[name], "--format", "json")
    assert json.loads(run(*words, cwd=tmp_path, site=site))["passed"]


@pytest.mark.parametrize("name", NAMES)
def test_each_passes_its_own_tests_beside_the_others(name: str, site: Path, tmp_path: Path):
    if needed := NEEDS.get(name):
        pytest.importorskip(needed, reason=f"{name} needs {needed}")
    run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        ROOM / name / "tests",
        cwd=tmp_path,
        site=site,
    )
