"""`sweep` as it is typed, and what it shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from unlearnkit.cli.params import POSITIVE, SEED, Several
from unlearnkit.errors import BadInput


@pytest.mark.parametrize(
    ("text", "found"), [("3", [3]), ("0..4", [0, 1, 2, 3, 4]), ("7, 0..1,5", [7, 0, 1, 5]), ("2..2", [2])]
)
def test_seeds(text: str, found: list[int]):
    assert Several(SEED).convert(text, None, None) == found


@pytest.mark.parametrize(
    "text", ["", "0,", "4..0", "0..", "..3", "0..2..4", "0..1_0", "0..3,2", "0..99999999", "-1..1"]
)
def test_what_is_no_list_of_seeds(text: str):
    with pytest.raises(BadInput):
        Several(SEED).convert(text, None, None)


def test_rates_and_names():
    assert Several(POSITIVE).convert("1e-5,3e-5", None, None) == [1e-5, 3e-5]
    assert Several().convert("npo, simnpo", None, None) == ["npo", "simnpo"]
    for text, of in (("1e-5..3e-5", Several(POSITIVE)), ("npo,npo", Several())):
        with pytest.raises(BadInput):
            of.convert(text, None, None)


def test_its_forms(cli: Callable[..., Answer], tiny_model_dir: Path, forget_file: Path, retain_file: Path):
    words = ["sweep", "--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--max-steps", 1]
    words += ["--lr", "1e-3,30", "-o", "beta=0.1", "-o", "beta=0.2", "--max-new-tokens", 2]
    dry = cli(*words, "--dry-run")
    assert dry.code == 0 and dry.out.count("lacking") == 4 and not Path("unlearnkit.db").exists()
    shown = cli(*words)
    assert shown.code == 0 and "4 runs: 0 in the store, 4 to do" in shown.err
    assert "npo, uniform, lr 0.001, beta=0.2" in " ".join(shown.out.split())
    whole = cli(*words, "--format", "json").json
    assert {*whole} == {"combinations", "runs", "plan"} and whole["plan"] is None and len(whole["runs"]) == 4
    rows = list(csv.DictReader(io.StringIO(cli(*words, "--format", "csv").out)))
    assert {row["wrapper"] for row in rows} == {""}
    assert [row["run"] for row in rows] == [run["run"] for run in whole["runs"]]
    for average, run in zip(whole["combinations"], whole["runs"], strict=True):
        probability = average["values"]["forget.probability"]
        assert probability == {"mean": run["forget.probability"], "sd": None, "n": 1}


def test_wrappers_and_options_of_one(
    cli: Callable[..., Answer], tiny_model_dir: Path, forget_file: Path, retain_file: Path
):
    words = ["sweep", "--model", tiny_model_dir, "--forget", forget_file, "--retain", retain_file, "--dry-run"]
    words += [
        "--plugin",
        "npo,graddiff",
        "-o",
        "npo.beta=0.2",
        "--wrapper",
        "none,sam",
        "-w",
        "rho=0.1",
        "-w",
        "rho=0.2",
    ]
    runs = cli(*words, "--format", "json").json["runs"]
    names = ("plugin", "options", "wrapper", "wrapper_options")
    around = [(None, {}), ("sam", {"rho": "0.1"}), ("sam", {"rho": "0.2"})]
    assert [tuple(run[name] for name in names) for run in runs] == [
        (plugin, options, *wrapped)
        for plugin, options in (("npo", {"beta": "0.2"}), ("graddiff", {}))
        for wrapped in around
    ]
