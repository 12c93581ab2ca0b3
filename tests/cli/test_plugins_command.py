"""`plugins` lists, describes and writes plugins, and names one that is broken without harm to the rest."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

import unlearnkit
from unlearnkit.cli.params import key_values
from unlearnkit.contracts import KINDS
from unlearnkit.plugins import plugins
from unlearnkit.scaffold import kinds

Cli = Callable[..., Answer]
ROOT = Path(unlearnkit.__file__).parents[1]


def names(listed: Answer) -> set[tuple[str, str]]:
    return {(row["kind"], row["name"]) for row in listed.json["plugins"]}


def test_without_a_word_it_lists(cli: Cli):
    assert cli("plugins").out == cli("plugins", "list").out
    found = names(cli("plugins", "--format", "json"))
    assert {("algorithm", "npo"), ("scorer", "mrd"), ("sampler", "mrd"), ("metric", "rouge")} <= found
    assert ("suite", "tofu") in found
    assert {kind for kind, _ in found} <= {*KINDS, "suite", "hook"}


def test_a_kind_alone(cli: Cli):
    found = names(cli("plugins", "--kind", "sampler", "--format", "json"))
    assert {"uniform", "mrd", "active"} <= {name for _, name in found}
    assert {kind for kind, _ in found} == {"sampler"}


def test_help_is_the_groups(cli: Cli):
    shown = cli("plugins", "--help").out
    assert all(f"\n  {word} " in shown for word in ("list", "show", "new", "check"))


def test_options_are_shown_with_type_default_and_meaning(cli: Cli):
    (npo,) = cli("plugins", "show", "npo", "--format", "json").json["plugins"]
    assert npo["source"] == "arXiv 2404.05868"
    beta = next(option for option in npo["options"] if option["name"] == "beta")
    assert (beta["default"], beta["required"]) == (0.1, False)
    assert "> 0" in beta["type"]
    shown = cli("plugins", "show", "npo").out
    assert "beta " in shown
    assert "inverse temperature" in shown


@pytest.mark.parametrize("kind", [*KINDS, "suite"])
def test_every_plugin_has_an_example_that_the_command_line_understands(cli: Cli, kind: str):
    for plugin_kind, name in sorted(names(cli("plugins", "--kind", kind, "--format", "json"))):
        (found,) = cli("plugins", "show", name, "--kind", plugin_kind, "--format", "json").json["plugins"]
        assert (found["distribution"], found["version"]) == ("unlearnkit", unlearnkit.__version__)
        program, command, *words = shlex.split(found["example"], comments=True)
        assert program == "unlearnkit" and name in found["example"]
        parsed = importlib.import_module(f"unlearnkit.cli.{command}_command").command.make_context(command, words)
        if kind not in ("metric", "aggregate", "suite"):  # of which a suite's file has the options
            given = key_values("-o", parsed.params.get(f"{kind}_option") or parsed.params["option"])
            assert plugins().build(kind, name, given)


def test_show_says_where_a_plugin_is_from_and_how_it_is_used(cli: Cli):
    shown = " ".join(cli("plugins", "show", "npo").out.split())
    assert f"from: unlearnkit {unlearnkit.__version__}" in shown
    assert "--plugin npo -o gamma=1.0" in shown
    assert "source: arXiv 2401.06121" in cli("plugins", "show", "tofu").out


def test_an_algorithm_names_the_sampler_that_did_best_with_it_and_no_other_kind_does(cli: Cli):
    (npo,) = cli("plugins", "show", "npo", "--format", "json").json["plugins"]
    samplers = {name for _, name in names(cli("plugins", "--kind", "sampler", "--format", "json"))}
    (ga,) = cli("plugins", "show", "ga", "--format", "json").json["plugins"]
    assert npo["recommended_sampler"] in samplers and ga["recommended_sampler"] in samplers
    assert npo["recommended_sampler"] != ga["recommended_sampler"]  # each its own, not what all are given
    assert f"recommended sampler: {npo['recommended_sampler']}" in cli("plugins", "show", "npo").out
    assert cli("plugins", "show", "rouge", "--format", "json").json["plugins"][0]["recommended_sampler"] is None


def test_a_name_of_two_kinds_is_shown_twice_or_by_kind(cli: Cli):
    both = cli("plugins", "show", "mrd", "--format", "json").json["plugins"]
    assert [plugin["kind"] for plugin in both] == ["scorer", "sampler"]
    one = cli("plugins", "show", "mrd", "--kind", "sampler", "--format", "json").json["plugins"]
    assert [plugin["kind"] for plugin in one] == ["sampler"]


@pytest.mark.parametrize("words", [["nop"], ["nop", "--kind", "algorithm"]])
def test_an_unknown_name_gets_a_suggestion(cli: Cli, words: list[str]):
    found = cli("plugins", "show", *words, "--format", "json")
    assert (found.code, found.error["code"]) == (3, "plugin")
    assert "npo" in found.error["hint"]


@pytest.mark.slow
def test_new_packages_of_every_kind_are_installed_together_listed_and_pass_their_tests(cli: Cli, tmp_path: Path):
    for kind in kinds():
        written = cli("plugins", "new", f"my-{kind}", "--kind", kind, "--format", "json").json["written"]
        assert all(Path(path).is_file() for path in written)
    site, packages = tmp_path / "site", [f"./my-{kind}" for kind in kinds()]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), *packages], check=True)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "UNLEARNKIT_STRICT": "1"}
    listing = [sys.executable, "-m", "unlearnkit", "plugins", "--format", "csv"]
    listed = subprocess.run(listing, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    named = {f"{kind},my-{kind},unlearnkit-my-{kind},0.1.0" for kind in kinds() if kind != "tracker"}
    assert named | {"hook,evaluated,unlearnkit-my-tracker,0.1.0"} <= set(listed)

    testing = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *packages]
    ran = subprocess.run(testing, env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_nothing_is_overwritten(cli: Cli):
    assert cli("plugins", "new", "mine", "--kind", "metric").code == 0
    again = cli("plugins", "new", "mine", "--kind", "metric")
    assert (again.code, again.out) == (2, "")
    assert "not empty" in again.err


def test_a_broken_plugin_is_named_with_its_cause(tmp_path: Path):
    info = tmp_path / "site" / "broken_thing-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[unlearnkit]\nbroken = broken_thing\n")
    (tmp_path / "site" / "broken_thing.py").write_text("import no_such_module\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    listing = [sys.executable, "-m", "unlearnkit", "plugins"]
    listed = subprocess.run(listing, env=env, capture_output=True, text=True, check=True).stdout
    assert "npo" in listed
    (line,) = [line for line in listed.splitlines() if line.startswith("broken: ")]
    assert "broken-thing 1.2" in line
    assert "no_such_module" in line


def test_check_says_what_passed_and_what_failed_and_exits_by_it(cli: Cli, tmp_path: Path):
    """What it finds is in `tests/plugins/test_package.py`."""
    hooks = "from unlearnkit.hookspecs import hookimpl\n@hookimpl\ndef {}(run): ...\n"
    (tmp_path / "good.py").write_text(hooks.format("run_started"))
    (tmp_path / "bad.py").write_text(hooks.format("run_startet"))
    good, bad = (cli("plugins", "check", f"{name}.py", "--format", "json") for name in ("good", "bad"))
    assert (good.code, good.json["passed"]) == (0, True)
    assert good.json["checks"] == [{"kind": "tracker", "name": "good.py", "result": "passed", "cause": ""}]
    assert (bad.code, bad.json["passed"]) == (1, False)
    assert 'did you mean "run_started"?' in bad.json["checks"][0]["cause"]
    assert "all passed" in good.err
    assert "no sandbox" in " ".join(cli("plugins", "check", "--help").out.split())


CHOOSY = """
import dataclasses
from unlearnkit.contracts import Algorithm
from unlearnkit.hookspecs import hookimpl

@dataclasses.dataclass(frozen=True)
class Choosy(Algorithm):
    "Has no default."
    size: int
    def losses(self, step):
        return {}

@hookimpl
def register_algorithms(): return {"choosy": Choosy}
"""
TRACKER = """
@hookimpl
def run_started(run): ...
"""


def test_what_was_skipped_is_counted_and_is_no_pass(cli: Cli, tmp_path: Path):
    (tmp_path / "choosy.py").write_text(CHOOSY)
    (tmp_path / "both.py").write_text(CHOOSY + TRACKER)
    alone, both = (cli("plugins", "check", f"{name}.py", "--format", "json") for name in ("choosy", "both"))
    assert [check["result"] for check in alone.json["checks"]] == ["skipped"]
    assert (alone.code, alone.json["passed"]) == (1, False) and "1 skipped" in alone.err
    assert (both.code, both.json["passed"]) == (0, True) and "1 skipped, 1 passed" in both.err
    assert "all passed" not in alone.err + both.err
