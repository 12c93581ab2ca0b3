"""Finding plugins: what is offered, what is broken and why, and that nothing is imported before its time."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from plugins.conftest import HEAD
from unlearnkit import __version__
from unlearnkit.contracts import API_VERSION, KINDS
from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.hookspecs import hookimpl
from unlearnkit.plugins import Plugins, plugins

GOOD = """
    @dataclass
    class Mine(Algorithm):
        '''Mine.'''
        def losses(self, step):
            return {}

    @hookimpl
    def register_algorithms():
        return {"mine": f"{__name__}:Mine"}
"""


def only_broken(found: Plugins) -> str:
    (broken,) = found.broken()
    return str(broken)


def test_builtins_are_offered_in_their_order():
    offers = Plugins(entry_points=()).offers("algorithm")
    assert list(offers) == [
        "ga", "graddiff", "kl", "idk", "idk-ap", "dpo", "altpo", "llmu", "jensun", "npo", "simnpo", "wga", "satimp",
        "ceu", "me", "undial", "flat", "pdu", "rmu", "adaptive-rmu", "task-vector",
    ]  # fmt: skip
    assert {offer.distribution for offer in offers.values()} == {"unlearnkit"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_builtin_name_leads_to_a_class_of_its_kind(kind: str):
    found = Plugins(entry_points=())
    for name in found.offers(kind):
        assert issubclass(found.resolve(kind, name), KINDS[kind])


def test_listing_and_looking_up_import_nothing_heavy():
    code = """
import sys
from unlearnkit.contracts import API_VERSION, KINDS
from unlearnkit.plugins import plugins
for kind in KINDS:
    plugins().offers(kind)
heavy = {"torch", "transformers", "datasets", "accelerate", "sqlalchemy", "pydantic", "numpy"}
sys.exit(", ".join(heavy & set(sys.modules)) or 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plugins_class_is_imported_when_it_is_used(install, tmp_path: Path):
    point = install("lazy", '@hookimpl\ndef register_algorithms(): return {"lazy": "lazy_class:Lazy"}')
    source = "from lazy import *\n@dataclass\nclass Lazy(Algorithm):\n    def losses(self, step): return {}\n"
    (tmp_path / "lazy_class.py").write_text(source)
    found = Plugins([point])
    assert found.offers("algorithm")["lazy"].distribution == "lazy"
    assert "lazy_class" not in sys.modules
    assert found.resolve("algorithm", "lazy").__name__ == "Lazy"


def test_process_wide_plugins_are_found_once():
    assert plugins() is plugins()


HOOKED = "@hookimpl\ndef run_started(run): ..."

# What can be wrong with a plugin, and what is said of it.
FLAWS = {
    "import_error": ("import nowhere", "No module named 'nowhere'"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "crash": ("1 / 0", "ZeroDivisionError: division by zero"),
    "misspelt_hook": (
        "@hookimpl\ndef register_algoritms(): return {}",
        'no hook "register_algoritms", did you mean "register_algorithms"?',
    ),
    "wrong_argument": (
        "@hookimpl\ndef step_finished(run, stp): ...",
        'in step_finished: no argument "stp", did you mean "step"?',
    ),
    "no_hook": ("def register_algorithms(): return {}", "it implements no hook; mark its functions with"),
    "hook_raises": ("@hookimpl\ndef register_metrics(): raise OSError('no disk')", "OSError: no disk"),
    "forgotten_return": ("@hookimpl\ndef register_scorers(): pass", "register_scorers must return a mapping"),
    "not_a_target": (
        '@hookimpl\ndef register_samplers(): return {"x": "pkg.mod.Class"}',
        '"x" must be "module:Class" or a class, not \'pkg.mod.Class\'',
    ),
    "newer_api": (f'unlearnkit_api = "2"\n{HOOKED}', "written for API 2, this is " + API_VERSION),
    "newer_minor_api": (f'unlearnkit_api = "1.999"\n{HOOKED}', "written for API 1.999, this is " + API_VERSION),
    "outdated_api": (f'unlearnkit_api = "0.9"\n{HOOKED}', "written for API 0.9, this is " + API_VERSION),
    "api_is_a_number": (f"unlearnkit_api = 1.0\n{HOOKED}", 'must be a text such as "1.0", not 1.0'),
    "not_a_name": ('@hookimpl\ndef register_samplers(): return {"[/x]": "a:B"}', "'[/x]' is no name"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_broken_plugin_is_left_out_and_warned_of_once(install, flaw: str, caplog: pytest.LogCaptureFixture):
    source, cause = FLAWS[flaw]
    found = Plugins([install(flaw, source), install("good", GOOD)])
    assert only_broken(found).startswith(f'plugin "{flaw}" not loaded: ')
    assert cause in only_broken(found)
    assert "mine" in found.offers("algorithm")
    for kind in KINDS:
        found.offers(kind)
    assert caplog.messages == [only_broken(found)]


@pytest.mark.parametrize("version", ["1", "1.0", API_VERSION])
def test_a_plugin_written_for_this_api_or_an_older_minor_one_is_loaded(install, version: str):
    (hook,) = Plugins([install("fits", f'unlearnkit_api = "{version}"\n{HOOKED}')], strict=True).hooks()
    assert (hook.name, hook.distribution) == ("run_started", "fits")


@pytest.mark.parametrize("flaw", FLAWS)
def test_strict_makes_a_broken_plugin_an_error(install, flaw: str):
    source, cause = FLAWS[flaw]
    with pytest.raises(UnlearnkitError, match="not loaded") as caught:
        Plugins([install(flaw, source)], strict=True)
    assert caught.value.code == "plugin-broken"
    assert cause in caught.value.message


def test_a_broken_plugin_asked_for_by_name_gives_its_cause(install):
    found = Plugins([install("torn", "import nowhere")])
    with pytest.raises(UnlearnkitError, match="No module named 'nowhere'") as caught:
        found.resolve("algorithm", "torn")
    assert caught.value.exit_code == 1


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(NotFound) as caught:
        Plugins(entry_points=()).resolve("algorithm", "nop")
    assert (caught.value.message, caught.value.hint) == ('no algorithm "nop"', 'did you mean "npo"?')
    assert (caught.value.code, caught.value.exit_code) == ("plugin", 3)


def test_an_unknown_name_with_nothing_near_lists_all_and_what_is_broken(install):
    with pytest.raises(NotFound) as caught:
        Plugins([install("torn", "import nowhere")]).resolve("sampler", "zzz")
    offered = ", ".join(Plugins(entry_points=()).offers("sampler"))
    assert caught.value.hint == f"there are: {offered}; plugin \"torn\" not loaded: No module named 'nowhere'"


def test_a_builtin_cannot_be_shadowed(install):
    found = Plugins([install("twin", '@hookimpl\ndef register_algorithms(): return {"npo": "twin:Mine"}')])
    for use in (lambda: found.offers("algorithm"), lambda: found.resolve("algorithm", "ga")):
        with pytest.raises(UnlearnkitError) as caught:
            use()
        assert caught.value.code == "duplicate-plugin"
        assert "unlearnkit" in caught.value.message
        assert "twin" in caught.value.message
    assert found.offers("sampler")


def test_two_plugins_of_one_name_are_both_named(install):
    found = Plugins([install("one", GOOD), install("two", GOOD)])
    with pytest.raises(UnlearnkitError, match='"mine" comes from both one and two'):
        found.offers("algorithm")


def test_subset_picks_entry_points_and_leaves_others_unimported(install):
    points = [install("one", GOOD), install("two", GOOD)]
    assert Plugins(points, subset=["two"]).offers("algorithm")["mine"].distribution == "two"
    assert "one" not in sys.modules
    assert "mine" not in Plugins(points, subset=[]).offers("algorithm")


def test_subset_of_what_is_not_installed_is_broken():
    assert only_broken(Plugins((), subset=["gone"])) == ('plugin "gone" not loaded: no such entry point is installed')


TARGETS = {
    "missing": ("", "targets:Missing", "plugin-broken"),
    "raises": ("", "targets_that_are_not_there:X", "plugin-broken"),
    "function": ("def f(): ...", "targets:f", "plugin-contract"),
    "other_kind": ("@dataclass\nclass S(Sampler):\n    def order(self, *a): ...", "targets:S", "plugin-contract"),
    "no_dataclass": ("class A(Algorithm):\n    def losses(self, step): ...", "targets:A", "plugin-contract"),
    "undecorated_heir": (
        "@dataclass\nclass A(Algorithm):\n    def losses(self, step): ...\nclass B(A):\n    beta: float = 1",
        "targets:B",
        "plugin-contract",
    ),
    "abstract": ("@dataclass\nclass A(Algorithm):\n    beta: float = 1", "targets:A", "plugin-contract"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_a_target_that_is_no_plugin_is_refused_when_used(install, case: str):
    source, target, code = TARGETS[case]
    point = install("targets", f"{source}\n@hookimpl\ndef register_algorithms(): return {{'x': '{target}'}}")
    found = Plugins([point])
    assert "x" in found.offers("algorithm")
    with pytest.raises(UnlearnkitError, match=r'algorithm "x" \(targets\)') as caught:
        found.resolve("algorithm", "x")
    assert caught.value.code == code


def test_a_file_is_loaded_only_when_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "unlearnkit_plugins.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from unlearnkit.contracts import Algorithm\nfrom unlearnkit.hookspecs import hookimpl\n"
        "@dataclass\nclass Local(Algorithm):\n    '''Local.'''\n    beta: float = 0.5\n"
        "    def losses(self, step): ...\n"
        "@hookimpl\ndef register_algorithms(): return {'local': Local}\n"
    )
    monkeypatch.chdir(tmp_path)
    found = Plugins(entry_points=())
    assert "local" not in found.offers("algorithm")
    found.load_file(file)
    assert found.offers("algorithm")["local"].distribution == str(file)
    assert found.build("algorithm", "local", {"beta": "0.25"}).beta == 0.25


def test_a_file_is_itself_whatever_is_installed_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And shadows nothing: who imports that name gets what is installed."""
    for folder, value in (("installed", 1), ("mine", 2)):
        (tmp_path / folder).mkdir()
        text = HEAD + dedent(GOOD).replace("{__name__}", "by_two") + f"\nvalue = {value}\n"
        (tmp_path / folder / "by_two.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    found = Plugins(entry_points=(), strict=True)
    found.load_file(tmp_path / "mine" / "by_two.py")
    assert sys.modules[found.resolve("algorithm", "mine").__module__].value == 2
    assert importlib.import_module("by_two").value == 1


def test_a_file_that_is_not_there_or_broken(tmp_path: Path):
    found = Plugins(entry_points=())
    with pytest.raises(NotFound):
        found.load_file(tmp_path / "none.py")
    (tmp_path / "bad.py").write_text("def (")
    found.load_file(tmp_path / "bad.py")
    assert "SyntaxError" in only_broken(found)


class Tracker:
    def __init__(self) -> None:
        self.seen: list[int] = []

    @hookimpl
    def step_finished(self, step: int) -> None:
        self.seen.append(step)


class Failing:
    @hookimpl
    def step_finished(self) -> None:
        raise RuntimeError("no server")


def test_a_failing_tracker_is_logged_once_and_silences_nobody(caplog: pytest.LogCaptureFixture):
    before, after = Tracker(), Tracker()
    found = Plugins(entry_points=(), extra=[before, Failing(), after])
    with caplog.at_level(logging.WARNING):
        for step in (1, 2):
            found.notify("step_finished", run=None, step=step, terms={})
    assert before.seen == after.seen == [1, 2]
    assert caplog.messages == ['plugin "Failing" failed in step_finished: RuntimeError: no server']


def test_first_result_of_a_loading_hook_counts():
    class Loader:
        @hookimpl
        def load_dataset(self, source: str) -> list[dict[str, str]] | None:
            return [{"answer": "found"}] if source == "mine:x" else None

    found = Plugins(entry_points=(), extra=[Loader()])
    assert found.hook.load_dataset(source="mine:x", split=None) == [{"answer": "found"}]
    assert found.hook.load_dataset(source="other:x", split=None) is None


def test_a_file_that_is_loaded_again_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every use case in a process loads the file that the settings name."""
    file = tmp_path / "mine.py"
    file.write_text(HEAD + dedent(GOOD))
    found = Plugins(entry_points=(), strict=True)
    found.load_file(file)
    monkeypatch.chdir(tmp_path)
    found.load_file(Path("mine.py"))
    assert found.broken() == [] and "mine" in found.offers("algorithm")


def test_code_tells_a_file_that_was_edited_in_place(tmp_path: Path):
    def code(folder: str, source: str) -> list[str]:
        file = tmp_path / folder / "mine.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
        found = Plugins(entry_points=())
        found.load_file(file)
        code = found.code("algorithm", "mine")
        file.write_text("")  # what was loaded still runs
        assert found.code("algorithm", "mine") == code
        return [code[0], *code[2:]]

    source = HEAD + dedent(GOOD)
    expected = hashlib.sha256(hashlib.sha256(source.encode()).hexdigest().encode()).hexdigest()  # of a list of one
    assert code("one", source) == code("one", source) == code("two", source) == ["mine", "", expected, __version__]
    assert code("one", source.replace("return {}", "return {'a': 1}")) != code("one", source)


def test_code_of_a_builtin_has_its_own_module_and_those_that_it_rests_on():
    found = Plugins(entry_points=())
    folder = Path(inspect.getfile(found.resolve("scorer", "mrd"))).parent
    behind = ("calibrate", "change", "looks", "mrd", "noise", "precision", "statistics", "../seeds")
    parts = [hashlib.sha256((folder / f"{name}.py").read_bytes()).hexdigest() for name in behind]
    assert found.code("scorer", "mrd")[3] == hashlib.sha256("".join(parts).encode()).hexdigest()
