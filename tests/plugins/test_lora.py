"""The LoRA distribution, installed by pip and used by name: what it leaves, and how that is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Answer
from safetensors.torch import load_file, save_file

from unlearnkit.errors import UnlearnkitError
from unlearnkit.plugins import plugins
from unlearnkit.runs.resume import resume
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import load_settings

from .conftest import ROOM, installed_by_pip

pytest.importorskip("peft", reason="LoRA needs peft, which `make test` installs")
pytest_plugins = "pytester"

LORA = ROOM / "unlearnkit-lora"
Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_by_pip(LORA.name, tmp_path_factory.mktemp("site"))


@pytest.fixture
def installed(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("UNLEARNKIT_CACHE_DIR", str(tmp_path / "cache"))
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take the plugin away again."""

    def take() -> None:
        monkeypatch.setenv("UNLEARNKIT_PLUGINS", "")
        plugins.cache_clear()

    return take


@pytest.fixture
def unlearn(cli: Cli, tiny_model_dir: Path, forget_file: Path, retain_file: Path, tmp_path: Path) -> Cli:
    """Two steps from a copy of the tiny model, `base`, under an adapter of rank 2."""
    shutil.copytree(tiny_model_dir, tmp_path / "base")
    data = ["--forget", forget_file, "--retain", retain_file, "--max-steps", 2, "--format", "json"]

    def run(*words: object, model: str = "base", adapter: str | None = "lora") -> Answer:
        chosen = [] if adapter is None else ["--adapter", adapter, "-a", "rank=2"]
        return cli("unlearn", "--model", model, *data, *chosen, *words)

    return run


def test_it_passes_its_own_tests(site: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(site)
    ran = pytester.runpytest_inprocess(LORA / "tests")
    assert ran.ret == 0
    assert ran.parseoutcomes().keys() <= {"passed", "warnings"}


# ------------------------------------------------------------------------------------------------------- what it leaves


@pytest.mark.usefixtures("installed")
def test_a_sweep_under_it_makes_the_runs_that_unlearn_makes(
    cli: Cli, unlearn: Cli, forget_file: Path, retain_file: Path
):
    run = unlearn().json["run"]
    words = [
        "sweep",
        "--model",
        "base",
        "--forget",
        forget_file,
        "--retain",
        retain_file,
        "--max-steps",
        2,
        "--dry-run",
    ]
    found = cli(*words, "--plugin", "npo,ga", "--adapter", "lora", "-a", "rank=2", "--format", "json").json["runs"]
    assert [(one["run"], one["state"]) for one in found] == [(run, "complete"), (None, "lacking")]


@pytest.mark.usefixtures("installed")
def test_kept_alone_it_is_the_model_that_it_is_folded_into(cli: Cli, unlearn: Cli, forget_file: Path, tmp_path: Path):
    (listed,) = cli("plugins", "show", "lora", "--format", "json").json["plugins"]
    assert {option["name"] for option in listed["options"]} == {"rank", "alpha", "dropout", "targets", "merge"}
    before = {file.name: file.read_bytes() for file in (tmp_path / "base").iterdir()}
    folded = unlearn("--out", "folded").json
    kept = unlearn("--out", "kept", "-a", "merge=false").json
    assert folded["terms"] == kept["terms"]
    assert {file.name: file.read_bytes() for file in (tmp_path / "base").iterdir()} == before

    base, merged = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "folded"))
    added = load_file(tmp_path / "kept" / "adapter_model.safetensors")
    for name, weight in base.items():
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{layer}.lora_A.weight" in added:
            a, b = (added.pop(f"{layer}.lora_{part}.weight").double() for part in "AB")
            weight = (weight.double() + 16 / 2 * (b @ a)).float()  # noqa: PLW2901
        assert torch.equal(merged[name], weight), name
    assert not added

    with Workplace(load_settings()) as place:
        one, other = (place.reading().run(found["run"]) for found in (folded, kept))
    assert one.summary["model"] == other.summary["model"]
    assert one.identity != other.identity
    assert (one.config["adapter"], other.config["adapter_options"]["merge"]) == ("lora", False)
    said = (tmp_path / "kept" / "README.md").read_text()
    assert "library_name: peft" in said and str(tmp_path) not in said
    assert "| adapter rank | 2 |" in said
    record = json.loads((tmp_path / "kept" / "base.json").read_text())
    assert record == {"folder": str(tmp_path / "base"), "fingerprint": one.model}
    size = sum(file.stat().st_size for file in (tmp_path / "kept").glob("*.safetensors"))
    assert 5 * size < (tmp_path / "folded" / "model.safetensors").stat().st_size

    values = [
        cli("score", "--model", model, "--data", forget_file, "--scorer", "loss", "--format", "json").json["samples"]
        for model in ("folded", "kept", f"run:{kept['run']}")
    ]
    assert values[0] == values[1] == values[2]
    again = unlearn("-a", "merge=false", model="kept").json
    assert again["steps"] == 2
    assert json.loads((Path(again["model_dir"]) / "base.json").read_text())["folder"] == str(tmp_path / "kept")
    shutil.rmtree(tmp_path / "cache")  # may go at any time
    assert cli("score", "--model", f"run:{again['run']}", "--data", forget_file, "--scorer", "loss").code == 0


@pytest.mark.usefixtures("installed")
def test_what_the_base_says_is_measured_once_for_all_runs(unlearn: Cli, monkeypatch: pytest.MonkeyPatch):
    sampled = ["--sampler", "mrd", "-s", "draws=2"]
    assert unlearn(*sampled, adapter=None).code == 0

    def refuse(*_: object) -> None:
        raise AssertionError("an anchor was measured again")

    monkeypatch.setattr("unlearnkit.runs.anchors._measure", refuse)
    found = unlearn(*sampled)
    assert found.code == 0, found.err
    assert "come from the store" in found.err
    assert "of npo under lora" in found.err


@pytest.mark.usefixtures("installed")
def test_a_run_goes_on_with_its_adapter(unlearn: Cli, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise UnlearnkitError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("unlearnkit.runs.adapters.save_folder", full)
        assert unlearn("-a", "merge=false").code == 1
    with Workplace(load_settings()) as place:
        (left,) = place.reading().runs(kind="unlearn")
        found = resume(place, left.id)
    assert (found.run, found.steps) == (left.id, 2)
    assert (Path(found.model_dir) / "adapter_model.safetensors").is_file()
    assert unlearn("-a", "merge=false").json["run"] == left.id
    assert unlearn("-a", "merge=false", "-a", "alpha=4").json["run"] != left.id


# -------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("words", "adapter", "code", "hint"),
    [
        (["-a", "targets=q_prj"], "lora", "option", 'did you mean "q_proj"?'),
        (["-a", "rnk=2"], "lora", "option", 'did you mean "rank"?'),
        (["-a", "dropout=1"], "lora", "option", ""),
        ([], "lorra", "plugin", 'did you mean "lora"?'),
        (["-a", "alpha=2"], None, "usage", "--adapter NAME"),
        (["--plugin", "rmu", "-a", "targets=q_proj"], "lora", "option", "targets"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_loaded_or_written(
    unlearn: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: list[str], adapter: str | None, code: str, hint: str,
):  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("unlearnkit.runs.unlearn.load_model", refuse)
    error = unlearn(*words, adapter=adapter).error
    assert error["code"] == code
    assert hint in error["hint"]
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.usefixtures("installed")
def test_an_adapter_is_refused_without_the_model_that_it_was_made_for(
    cli: Cli, unlearn: Cli, gone: Callable[[], None], forget_file: Path, tmp_path: Path
):
    assert unlearn("--out", "kept", "-a", "merge=false").code == 0

    def error() -> dict[str, Any]:
        return cli("score", "--model", "kept", "--data", forget_file, "--scorer", "loss", "--format", "json").error

    weights = tmp_path / "base" / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.norm.weight"] += 1e-3
    save_file(tensors, weights, metadata={"format": "pt"})
    assert (error()["code"], "was made for another model" in error()["message"]) == ("adapter", True)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    assert (error()["code"], "is not here" in error()["message"]) == ("adapter", True)
    (tmp_path / "kept" / "base.json").unlink()
    config = tmp_path / "kept" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": "org/base"}))
    assert (error()["code"], "downloads are off" in error()["message"]) == ("adapter", True)
    gone()
    assert error()["code"] == "adapter"
    assert "pip install unlearnkit-lora" in error()["hint"]
    told = unlearn(model="elsewhere").error
    assert told["code"] == "plugin"
    assert "pip install unlearnkit-lora" in told["hint"]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "type IA3"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": 3}, "does not load"),
        ({"target_modules": ["q_proj"]}, "only one of them has"),
    ],
)
def test_an_adapter_that_is_something_else_is_refused(
    cli: Cli, unlearn: Cli, forget_file: Path, tmp_path: Path, change: dict[str, Any], message: str
):
    peft_config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]}
    folder = tmp_path / "made"
    folder.mkdir()
    base = json.loads((tmp_path / "base" / "config.json").read_text())
    width, layers = base["hidden_size"], range(base["num_hidden_layers"])
    tensors = {
        f"base_model.model.model.layers.{i}.self_attn.{name}.lora_{part}.weight": torch.full(shape, 0.01)
        for i in layers
        for name in ("q_proj", "v_proj")
        for part, shape in (("A", (2, width)), ("B", (width, 2)))
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    asked = ["score", "--model", "made", "--data", forget_file, "--scorer", "loss", "--format", "json"]
    for more, right in (({}, True), (change, False)):
        config = {**peft_config, "base_model_name_or_path": str(tmp_path / "base"), **more}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        found = cli(*asked)
        assert (found.code == 0) is right, found.err
    assert found.error["code"] == "adapter"
    assert message in found.error["message"]
