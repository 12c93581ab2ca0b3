"""Several processes against one: the same losses, gradients and weights, whatever the method and the way of sharing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unlearnkit.training.team import Team

from .processes import cases, trained

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("processes.py")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of what two processes left that shared a model in one of the ways."""

    @cache
    def run(sharing: str) -> Path:
        folder = tmp_path_factory.mktemp(sharing)
        _launch(sharing, folder)
        return folder

    return run


def _launch(sharing: str, folder: Path) -> None:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    done = subprocess.run(  # noqa: PLW1510 - what it said is shown
        [sys.executable, *command, sharing, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, capture_output=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize(("sharing", "case"), [(s, c) for s in ("ddp", "fsdp2") for c in cases(s)])
def test_two_processes_train_as_one(sharing: str, case: str, left: Callable[[str], Path]):
    alone, shared = trained(case, Team()), load_file(left(sharing) / f"{case}.safetensors")
    assert alone.keys() == shared.keys()
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")
