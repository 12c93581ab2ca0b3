"""A store with everything that a report shows, made once, whose names and texts try to write on the terminal."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import pairs, write_jsonl

import unlearnkit
from unlearnkit.runs.training import Schedule

HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] \u202e"


@dataclass(frozen=True)
class Lab:
    """Run ids: of the scores, of what was unlearned, of the evaluations, of an attack."""

    store: Path
    scored: str
    unlearned: dict[str, str]
    evaluated: dict[str, str]
    attacked: str
    model: Path
    forget: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path, retain_file: Path) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    model = shutil.copytree(tiny_model_dir, folder / f"{HOSTILE} model of a rather long name")
    forget = write_jsonl(folder / "forget.jsonl", pairs("Ada Quill", "Bo Tarn", "Cleo Marsh", HOSTILE))
    store = folder / "lab.db"
    data = {"forget": forget, "retain": retain_file}
    scored = unlearnkit.score(model, forget, store=store)
    reference = unlearnkit.evaluate(model, data, store=store, max_new_tokens=4)
    unlearned, evaluated = {}, {"before": reference.run}
    for sampler in ("uniform", "mrd"):
        made = unlearnkit.unlearn(
            model, forget, retain_file, algorithm="graddiff", sampler=sampler, store=store,
            schedule=Schedule(max_steps=2, lr=1e-3), out=str(folder / sampler),
        )  # fmt: skip
        found = unlearnkit.evaluate(made.model_dir, data, store=store, max_new_tokens=4, reference=reference.run)
        unlearned[sampler], evaluated[sampler] = made.run, found.run
    attacked = unlearnkit.attack(
        folder / "mrd", forget, store=store, options={"k": 2, "steps": 2}, reference=str(model),
        metrics=["probability", "extraction_strength"],
    )  # fmt: skip
    return Lab(store, scored.run, unlearned, evaluated, attacked.run, model, forget)
