"""Several processes against one: the same losses, gradients and weights, whatever the method and the way of sharing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from unlearnkit.testing.material import tiny_model
from unlearnkit.training.team import Team

from .processes import BFLOAT16, cases, trained

pytestmark = pytest.mark.slow
EPSILON = torch.finfo(torch.bfloat16).eps
"""2^-7, the spacing of bfloat16 numbers at 1: what is rounded is off by half of it."""
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


@pytest.mark.parametrize("precision", BFLOAT16)
@pytest.mark.parametrize("sharing", ["ddp", "fsdp2"])
def test_in_bfloat16_they_train_as_one_up_to_its_rounding(sharing: str, precision: str, left: Callable[[str], Path]):
    """A product over fewer texts adds up in another order, which moves a rounding here and there: by a spacing at most
    in what is computed from a text, and by that share of the way that the weights go. The norm of a gradient is itself
    rounded, and taken where the weights have come to."""
    alone, shared = trained(precision, Team()), load_file(left(sharing) / f"{precision}.safetensors")
    assert alone.keys() == shared.keys()
    start = {name: p.detach() for name, p in tiny_model().named_parameters()}
    way = distance(full(alone), start)
    assert 0 < distance(full(alone), full(shared)) < EPSILON * way
    for name, copy in ((n.removeprefix("copy."), t) for n, t in shared.items() if n.startswith("copy.")):
        assert torch.equal(shared[name], copy.bfloat16()), name
    loss, norm = 0, 1
    near = {loss: EPSILON, norm: 4 * EPSILON}
    for column, rtol in near.items():
        torch.testing.assert_close(shared["rows"][:, column], alone["rows"][:, column], rtol=rtol, atol=0)
    torch.testing.assert_close(shared["probes"], alone["probes"], rtol=EPSILON, atol=0)


def full(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32: the copies, where there are some."""
    return {name: found.get(f"copy.{name}", found[name]) for name, _ in tiny_model().named_parameters()}


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return sum(float((one[name].double() - other[name].double()).square().sum()) for name in one) ** 0.5
