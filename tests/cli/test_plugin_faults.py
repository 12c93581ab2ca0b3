"""Plugins of other distributions that are broken, in the way, or fail at work: installed as pip would leave them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.plugins import plugins

Cli = Callable[..., Answer]

HEAD = """
from dataclasses import dataclass
from pathlib import Path
from unlearnkit.contracts import Algorithm
from unlearnkit.hookspecs import hookimpl
"""


def algorithm(name: str, body: str) -> str:
    """A module that offers one algorithm, whose `losses` is the body."""
    return f"""
@dataclass
class Mine(Algorithm):
    \"\"\"A test's.\"\"\"

    @property
    def uses_retain(self): return False

    def losses(self, step):
        nll = step.scores(step.forget).nll
        {body}
        return {{"forget": -nll}}

@hookimpl
def register_algorithms(): return {{"{name}": Mine}}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Put a distribution with an entry point of that name on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    names: list[str] = []

    def write(name: str, source: str) -> None:
        names.append(name)
        (site / f"{name}.py").write_text(HEAD + source)
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[unlearnkit]\n{name} = {name}\n")
        plugins.cache_clear()

    yield write
    plugins.cache_clear()
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def unlearn(cli: Cli, tiny_model_dir: Path, forget_file: Path) -> Cli:
    def run(*words: object) -> Answer:
        return cli("unlearn", "--model", tiny_model_dir, "--forget", forget_file, *words, "--format", "json")

    return run


@pytest.mark.parametrize(
    ("row", "source", "cause"),
    [
        (63, "import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        (63, "raise SystemExit(0)", "SystemExit"),
        (64, "@hookimpl\ndef register_algoritms(): return {}", 'did you mean "register_algorithms"?'),
        (64, "@hookimpl\ndef step_finished(run, stp): ...", 'no argument "stp", did you mean "step"?'),
    ],
)
def test_a_broken_plugin_stops_nothing_but_itself(
    cli: Cli, unlearn: Cli, install: Callable[..., None], row: int, source: str, cause: str, tmp_path: Path
):
    install("odd", source)
    listed = cli("plugins", "list", "--format", "json")
    assert listed.code == 0
    (warning,) = [line for line in listed.err.splitlines() if line.startswith("warning: ")]
    assert warning.startswith('warning: plugin "odd" (odd 1.2) not loaded: ') and cause in warning
    (broken,) = listed.json["broken"]
    assert (broken["plugin"], broken["distribution"], broken["version"]) == ("odd", "odd", "1.2")
    assert cause in broken["cause"]
    assert "npo" in [plugin["name"] for plugin in listed.json["plugins"]]

    asked = unlearn("--plugin", "odd")
    assert (asked.code, asked.error["code"]) == (1, "plugin-broken")
    assert cause in asked.error["message"]
    assert not (tmp_path / "unlearnkit.db").exists()


def test_a_name_that_two_offer(unlearn: Cli, install: Callable[..., None]):  # row 65
    install("one", algorithm("twice", "pass"))
    install("two", algorithm("twice", "pass"))
    found = unlearn("--plugin", "twice")
    assert (found.code, found.error["code"]) == (1, "duplicate-plugin")
    assert "one 1.2" in found.error["message"] and "two 1.2" in found.error["message"]


def test_a_built_in_is_not_shadowed(unlearn: Cli, install: Callable[..., None]):  # row 65
    install("usurper", algorithm("npo", "pass"))
    found = unlearn("--plugin", "npo")
    assert (found.code, found.error["code"]) == (1, "duplicate-plugin")
    assert "unlearnkit " in found.error["message"] and "usurper 1.2" in found.error["message"]


def test_a_loss_that_raises_leaves_a_run_that_goes_on(  # row 66
    cli: Cli, unlearn: Cli, install: Callable[..., None], tmp_path: Path
):
    install("flaky", algorithm("flaky", 'if step.progress > 0.4 and Path("fail").exists(): raise KeyError("oh")'))
    Path("fail").touch()
    options = ("--plugin", "flaky", "--max-steps", 4, "--batch-size", 2, "--checkpoint-every", 1)
    failed = unlearn(*options)
    assert (failed.code, failed.error["code"]) == (1, "plugin-error")
    assert "algorithm flaky" in failed.error["message"]
    assert "failed at step 3: KeyError: 'oh'" in failed.error["message"]
    assert "Traceback" not in failed.err
    run = cli("runs", "show", "@last", "--format", "json").json
    assert (run["state"], [step["step"] for step in run["steps"]]) == ("failed", [1, 2])

    Path("fail").unlink()
    again = cli("resume", "@last", "--format", "json")
    assert again.code == 0, again.err
    assert "going on from step 2 of 4" in again.err
    assert again.json["steps"] == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned None"),
        ("nll = nll.detach()", "gradient"),
        ("nll = nll.mean()", "shape []"),
        ("return {'forget': 0.5}", "float 0.5"),
    ],
)
def test_a_loss_that_is_none_is_named_before_a_step_is_taken(  # row 67; `tests/plugins/test_checks.py` has more
    cli: Cli, unlearn: Cli, install: Callable[..., None], body: str, said: str
):
    install("vague", algorithm("vague", body))
    found = unlearn("--plugin", "vague", "--max-steps", 2)
    assert (found.code, found.error["code"]) == (1, "plugin-contract")
    assert said in found.error["message"] and "expected" in found.error["hint"] + found.error["message"]
    run = cli("runs", "show", "@last", "--format", "json").json
    assert (run["state"], run["steps"]) == ("failed", [])


@pytest.mark.parametrize("order", ["[0, 1, 99]", "[-1, 0, 1]", "[0]", "[0.5] * 8", "[]"])
def test_an_order_that_is_none_is_named(unlearn: Cli, install: Callable[..., None], order: str):  # row 68
    source = f"""
import numpy as np
from unlearnkit.contracts import Sampler

@dataclass
class Odd(Sampler):
    \"\"\"A test's.\"\"\"

    def order(self, pool, rng): return np.array({order})

@hookimpl
def register_samplers(): return {{"odd": Odd}}
"""
    install("odd", source)
    found = unlearn("--plugin", "ga", "--sampler", "odd", "--max-steps", 2)
    assert (found.code, found.error["code"]) == (1, "plugin-contract")
    assert "sampler odd returned" in found.error["message"]


RUDE = """
loss = {"forget": -nll}
        import numpy, os, random, torch
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(7); numpy.random.seed(7); random.seed(7)
        os.chdir("/")
        return loss
"""


def test_what_a_loss_does_to_the_whole_process_is_undone(  # row 69
    cli: Cli, unlearn: Cli, install: Callable[..., None], tmp_path: Path
):
    install("calm", algorithm("calm", "pass"))
    install("rude", algorithm("rude", RUDE.strip()))
    steps = []
    for name in ("calm", "rude"):
        assert unlearn("--plugin", name, "--max-steps", 4, "--batch-size", 2).code == 0
        steps.append(cli("runs", "show", "@last", "--format", "json").json["steps"])
        assert Path.cwd() == tmp_path
    assert steps[0] == steps[1] and len(steps[0]) == 4


def test_a_loss_that_exits_fails_its_run_alone(cli: Cli, unlearn: Cli, install: Callable[..., None]):  # row 69
    install("leaver", algorithm("leaver", "raise SystemExit(0)"))
    found = unlearn("--plugin", "leaver", "--max-steps", 2)
    assert (found.code, found.error["code"]) == (1, "plugin-error")
    assert "failed at step 1: SystemExit: 0" in found.error["message"]
    assert cli("runs", "show", "@last", "--format", "json").json["state"] == "failed"


@pytest.mark.parametrize(("numbers", "n", "reason"), [("i % 2", 4, None), ("0", 0, "nonfinite")])
def test_a_metric_without_numbers_for_some_counts_the_others(  # row 70
    cli: Cli, install: Callable[..., None], tiny_model_dir: Path, forget_file: Path, numbers: str, n: int,
    reason: str | None,
):  # fmt: skip
    source = f"""
from unlearnkit.contracts import Metric

@dataclass
class Half(Metric):
    \"\"\"A test's.\"\"\"

    def measure(self, probe):
        return [2.0 if {numbers} else float("nan") for i, sample in enumerate(probe.samples)]

@hookimpl
def register_metrics(): return {{"half": Half}}
"""
    install("halving", source)
    Path("half.yaml").write_text("splits: {forget: {metrics: [half]}}\n")
    found = cli("eval", tiny_model_dir, "--suite", "half.yaml", "--forget", forget_file, "--format", "json")
    assert found.code == 0, found.err
    figure = found.json["metrics"]["forget.half"]
    assert (figure["n"], figure["value"]) == (n, 2.0 if n else None)
    missing = {"name": "forget.half", "reason": "nonfinite"}
    assert (missing in found.json["missing"]) == (reason is not None)


def test_a_loss_that_is_not_a_number_is_not_trained_on(  # row 76
    cli: Cli, unlearn: Cli, install: Callable[..., None]
):
    install("wild", algorithm("wild", 'if step.progress > 0.4: nll = nll * float("nan")'))
    options = ("--plugin", "wild", "--max-steps", 4, "--batch-size", 2, "--checkpoint-every", 1)
    diverged = unlearn(*options, "--lr", "0.001")
    assert (diverged.code, diverged.error["code"]) == (1, "diverged")
    for said in ("step 3 ", "loss nan", "gradient norm nan", "lr 0.001", "not applied"):
        assert said in diverged.error["message"]
    run = cli("runs", "show", "@last", "--format", "json").json
    assert (run["state"], [step["step"] for step in run["steps"]]) == ("diverged", [1, 2])

    for again in (unlearn(*options, "--lr", "0.001"), cli("resume", "@last", "--format", "json")):
        assert (again.code, again.error["code"]) == (1, "not-resumable")
        assert run["run"] in again.error["message"] and "step 3 diverged" in again.error["message"]
    assert unlearn(*options, "--lr", "0.002").error["code"] == "diverged"  # another run, tried anew
