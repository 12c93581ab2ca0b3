"""The scoring benchmark runs, and its arithmetic is right."""

from __future__ import annotations

import importlib.util
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "score.py"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    sys.path.insert(0, str(FILE.parent))  # where a script finds its neighbours
    spec = importlib.util.spec_from_file_location("score_benchmark", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_runs(benchmark: Any, tiny_model_dir: Path, forget_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    words = ["--model", tiny_model_dir, "--data", forget_file, "--pairs", 3, "--singles", 5, "--threads", 1]
    monkeypatch.setattr(sys, "argv", ["score.py", *map(str, words)])
    benchmark.main()
    out = capsys.readouterr().out
    assert "timed by processor seconds" in out and "the parts of a draw, processor seconds" in out
    assert "forward passes, 7 calls" in out  # one batch: unperturbed, and three pairs
    assert "noise and mirror, 6 calls" in out and "store, 7 calls" in out
    assert "peak above what the libraries take" in out
    assert "mean-abs needs" in out


def test_one_thread_is_not_charged_for_the_time_of_others(benchmark: Any):
    asleep = partial(time.sleep, 0.05)  # as one does whose core another process has
    clock, _ = benchmark.clock_for(1)
    assert benchmark.timed(asleep, clock) < 0.04
    clock, kind = benchmark.clock_for(2)
    assert benchmark.timed(asleep, clock) >= 0.05 and kind == "wall seconds"


def test_the_draws_that_a_reliability_needs(benchmark: Any):
    """Spearman-Brown backwards: n · odds of the target over odds of what n draws gave."""
    assert benchmark.projected(0.9, 10) == 10
    assert benchmark.projected(0.5, 10) == 90
    assert benchmark.projected(-0.1, 10) == "?"


def test_peak_memory_is_the_highest_point_and_not_the_last(benchmark: Any):
    with benchmark.peak() as found:
        much = bytearray(80_000_000)
        del much
    assert found.highest - found.before > 70e6
    with benchmark.peak() as later:
        pass
    assert later.highest - later.before < 40e6
