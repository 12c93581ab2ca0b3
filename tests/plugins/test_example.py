"""The example distribution, installed by pip and run by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import unlearnkit
from unlearnkit.checks import checked_terms
from unlearnkit.plugins import Plugins
from unlearnkit.testing import material

ROOT = Path(unlearnkit.__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "unlearnkit-example"

pytest_plugins = "pytester"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, *offline, "--target", str(target), str(EXAMPLE)], check=True)
    return target


def test_it_takes_a_step_by_name(installed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(installed)
    found = Plugins(strict=True)
    assert found.offers("algorithm")["clipped-graddiff"].origin == "unlearnkit-example 0.1.0"
    algorithm = found.build("algorithm", "clipped-graddiff", {"cap": "2.5"})
    step = material.step(algorithm)
    loss = material.total(checked_terms("clipped-graddiff", algorithm.losses(step), step), step)
    loss.backward()
    torch.optim.SGD(step.model.parameters(), lr=1e-3).step()
    with torch.no_grad():
        after = material.step(algorithm, model=step.model)
        assert material.total(algorithm.losses(after), after) < loss


@pytest.mark.parametrize(("subset", "there"), [(None, True), ("example", True), ("", False)])
def test_a_process_finds_it_unless_told_otherwise(installed: Path, subset: str | None, there: bool):
    code = 'from unlearnkit.plugins import plugins; print("clipped-graddiff" in plugins().offers("algorithm"))'
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    env |= {} if subset is None else {"UNLEARNKIT_PLUGINS": subset}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(there)


def test_it_passes_its_own_tests(installed: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(installed)
    ran = pytester.runpytest_inprocess(EXAMPLE / "tests")
    assert ran.ret == 0
    assert ran.parseoutcomes().keys() == {"passed"}
