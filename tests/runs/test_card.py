"""The card of a written model: what Hugging Face takes for one, true to the run, and fit to be published."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Answer, pairs, write_jsonl
from huggingface_hub import ModelCard

from unlearnkit.data.samples import DataSpec
from unlearnkit.runs.finetune import finetune
from unlearnkit.runs.score import score
from unlearnkit.runs.training import Schedule
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace

Cli = Callable[..., Answer]
HOSTILE = "x | y\x1b[31m <script>alert(1)</script> `z` ---"


@pytest.fixture
def hostile(tmp_path: Path) -> DataSpec:
    folder = tmp_path / "home of the user"
    folder.mkdir()
    return DataSpec(str(write_jsonl(folder / "a [b] | `c`.jsonl", pairs("Ada Quill", HOSTILE))))


def card_of(found: Any) -> ModelCard:
    return ModelCard.load(Path(found.model_dir) / "README.md")


def table(card: ModelCard, heading: str) -> dict[str, list[str]]:
    """The rows of a section's tables by their first cell."""
    section = card.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def test_hugging_face_takes_it(place: Workplace, model: str, forget: DataSpec, retain: DataSpec):
    found = unlearn(place, model=model, forget=forget, retain=retain, schedule=Schedule(max_steps=2, lr=1e-3))
    card = card_of(found)
    told = yaml.safe_load((Path(found.model_dir) / "README.md").read_text().split("---\n")[1])
    assert told == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["unlearning", "unlearnkit"]
    }, "neither a licence nor a base that nobody knows"  # fmt: skip
    assert card.data.to_dict() == told
    assert "not show" in card.text and f"unlearnkit certificate {found.run}" in card.text


def test_training_is_told_from_the_run_itself(place: Workplace, model: str, forget: DataSpec, retain: DataSpec):
    asked = {"model": model, "forget": forget, "retain": retain, "schedule": Schedule(epochs=3, lr=1e-3)}
    found = unlearn(place, **asked, probe_every=1)
    rows, steps = table(card_of(found), "How training went"), place.store.steps(found.run)
    ends = [
        [row.nll for row in place.store.probes(found.run) if row.swept and row.updates == updates]
        for updates in (0, found.steps)
    ]
    assert rows["forget set's NLL, nats per label token"] == [f"{sum(nlls) / len(nlls):.4g}" for nlls in ends]
    assert rows["retain, as the loss counts it"] == [f"{steps[i].terms['retain']:.4g}" for i in (0, -1)]


def test_difficulty_is_told_where_it_was_measured(place: Workplace, model: str, forget: DataSpec, retain: DataSpec):
    asked = {"model": model, "forget": forget, "retain": retain, "schedule": Schedule(max_steps=1, lr=1e-3)}
    assert "How hard" not in card_of(unlearn(place, **asked)).text
    scored = score(place, model=model, data=forget, options={"draws": 3})
    text = card_of(unlearn(place, **asked, algorithm="ga")).text
    values = sorted(s.value for s in scored.samples)
    assert f"{values[0]:.3g} to {values[-1]:.3g}" in text and f"`{scored.run}`" in text


def test_it_gives_nothing_away(
    cli: Cli, model: str, hostile: DataSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = ["unlearn", "--model", model, "--forget", hostile.source, "--plugin", "ga", "--max-steps", "1"]
    words += ["--store", str(tmp_path / "secret.db"), f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr("sys.argv", ["unlearnkit", *words])
    found = cli(*words)
    text = (tmp_path / "out" / "README.md").read_text()
    assert found.code == 0
    for leaked in (str(tmp_path), str(Path(model).parent), "secret", "home of the user", "Ada Quill", "\x1b"):
        assert leaked not in text, leaked
    assert table(ModelCard(text), "What was done")["forget"][0] == r"a \[b\] \| \`c\`.jsonl"
    assert "unlearnkit unlearn --model model --forget 'a [b] | `c`.jsonl' --plugin ga --max-steps 1 --out=out" in text


def test_a_hub_model_is_the_base_of_what_came_of_it(place: Workplace, model: str, retain: DataSpec, forget: DataSpec):
    import shutil

    shutil.copytree(model, "org/name")  # a folder may be called like a model on the hub
    taught = finetune(place, model="org/name", data=(retain,), schedule=Schedule(max_steps=1))
    assert card_of(taught).data.base_model is None and "org/name" not in card_of(taught).text
    request = place.store.run(taught.run).config
    place.store.settle(taught.run, "", {**request, "request": {**request["request"], "model": "hub-user/base@v1"}})
    found = unlearn(
        place, model=f"run:{taught.run}", forget=forget, algorithm="ga", schedule=Schedule(max_steps=1, lr=1e-3)
    )
    assert card_of(found).data.base_model == "hub-user/base"
