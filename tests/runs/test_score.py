"""`score`: what determines a draw is measured once, and whatever differs in it is measured anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import BadInput, Interrupted
from unlearnkit.runs import score as use_case
from unlearnkit.runs.identity import environment
from unlearnkit.runs.resume import resume
from unlearnkit.runs.score import ScoreReport, score
from unlearnkit.runs.workplace import Workplace
from unlearnkit.scorers.mrd import MRD

OPTIONS = {"draws": 3}


def scored(place: Workplace, model: str, data: DataSpec, **options: Any) -> ScoreReport:
    return score(place, model=model, data=data, options=options or OPTIONS)


def values(report: ScoreReport) -> list[float | None]:
    return [sample.value for sample in report.samples]


def test_a_score_per_sample_in_the_files_order(place: Workplace, model: str, forget: DataSpec):
    found = scored(place, model, forget)
    assert [s.position for s in found.samples] == list(range(8))
    assert found.n == 8 and found.computed == 1 + 2 * 3 and found.from_store == 0
    assert all(s.status == "ok" and s.value and s.value > 0 and s.stderr for s in found.samples)
    stored = place.store.scores(found.run)
    assert [(stored[s.sample].value, stored[s.sample].stderr) for s in found.samples] == [
        (s.value, s.stderr) for s in found.samples
    ]


@pytest.mark.usefixtures("no_model")
def test_nothing_is_written_where_the_model_does_not_load(place: Workplace, model: str, forget: DataSpec):
    with pytest.raises(AssertionError, match="a model was loaded"):
        scored(place, model, forget)
    run = place.store.run("@last")
    assert (run.state, run.error_code, place.store.scores(run.id)) == ("failed", "internal", {})


def test_a_second_call_computes_nothing(place: Workplace, model: str, forget: DataSpec, request: pytest.FixtureRequest):
    first = scored(place, model, forget)
    request.getfixturevalue("no_model")
    again = scored(place, model, forget)
    assert again == replace(first, computed=0, from_store=first.computed)
    assert resume(place, first.run[:8]) == again


def test_draws_are_shared_where_only_the_reduction_differs(
    place: Workplace, model: str, forget: DataSpec, request: pytest.FixtureRequest
):
    four = scored(place, model, forget, draws=4)
    eight = scored(place, model, forget, draws=8)
    assert (four.computed, eight.computed, eight.from_store) == (9, 8, 9)
    request.getfixturevalue("no_model")
    plain = scored(place, model, forget, draws=8, estimator="plain")
    assert (plain.computed, plain.from_store) == (0, 9), "it reads one side of each pair"
    fewer = scored(place, model, forget, draws=2)
    assert (fewer.computed, fewer.from_store) == (0, 5)
    runs = [four.run, eight.run, plain.run, fewer.run]
    assert len(set(runs)) == 4 and len({tuple(values(r)) for r in (four, eight, plain, fewer)}) == 4
    assert len({place.store.run(run).series for run in runs}) == 1


def test_more_draws_give_what_they_would_have_given_at_once(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Any
):
    scored(place, model, forget, draws=2)
    grown = scored(place, model, forget, draws=5)
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        whole = scored(elsewhere, model, forget, draws=5)
    assert values(grown) == values(whole)
    assert [s.stderr for s in grown.samples] == [s.stderr for s in whole.samples]


@pytest.mark.slow
def test_two_processes_give_the_bits_of_one(place: Workplace, model: str, forget: DataSpec, tmp_path: Path):
    """Spawned workers, which load the model themselves, with the threads of this process."""
    asked: dict[str, Any] = {"model": model, "data": forget, "options": OPTIONS, "batch_size": 1}
    two = score(place, **asked, workers=2)
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        one = score(elsewhere, **asked)
        series = [p.store.run(found.run).series for p, found in ((place, two), (elsewhere, one))]
        assert series[0] == series[1]
        blocks = [p.store.blocks(key) for p, key in zip((place, elsewhere), series, strict=True)]
        assert blocks[0].keys() == blocks[1].keys()
        assert all(np.array_equal(values, blocks[1][unit]) for unit, values in blocks[0].items())
        assert values(two) == values(one)
        again = score(place, **asked)
        assert (again.run, again.computed) == (two.run, 0)


def test_a_text_scorer_needs_no_worker_and_no_model(
    place: Workplace, model: str, forget: DataSpec, retain: DataSpec, request: pytest.FixtureRequest
):
    request.getfixturevalue("no_model")
    found = score(place, model=model, data=forget, sets={"retain": retain}, scorer="ngram-overlap", workers=2)
    assert (found.computed, found.forward_passes) == (1, 0)
    assert resume(place, found.run).samples == found.samples


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_is_positive(place: Workplace, model: str, forget: DataSpec, workers: int):
    with pytest.raises(BadInput, match="--workers must be a whole number ≥ 1"):
        score(place, model=model, data=forget, workers=workers)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"options": {"draws": 3, "sigma": 2e-3}},
        {"options": {"draws": 3, "tokens": "all"}},
        {"options": {"draws": 3, "eps": 1e-3}},
        {"template": "plain"},
        {"system_prompt": "Be brief."},
        {"batch_size": 4},
    ],
    ids=" ".join,
)
def test_whatever_changes_a_number_is_another_run(place: Workplace, model: str, forget: DataSpec, change: Any):
    asked: dict[str, Any] = {"model": model, "data": forget, "options": OPTIONS}
    first = score(place, **asked)
    other = score(place, **asked | change)
    assert other.run != first.run and other.from_store == 0 and other.computed >= first.computed
    assert place.store.run(other.run).series != place.store.run(first.run).series


def test_other_weights_are_another_run_and_another_name_is_not(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Any, request: pytest.FixtureRequest
):
    from safetensors.torch import load_file, save_file

    first = scored(place, model, forget)
    for name in ("same", "changed"):
        shutil.copytree(model, tmp_path / name)
    weights = load_file(tmp_path / "changed" / "model.safetensors")
    weights["model.norm.weight"][0] += 2**-20
    save_file(weights, tmp_path / "changed" / "model.safetensors", metadata={"format": "pt"})
    assert scored(place, str(tmp_path / "changed"), forget).run != first.run
    request.getfixturevalue("no_model")
    assert scored(place, str(tmp_path / "same"), forget).run == first.run


def test_the_weights_are_as_they_were(place: Workplace, model: str, forget: DataSpec, monkeypatch: Any):
    loaded = []
    load = use_case.load_model

    def keep(source: Any) -> Any:
        loaded.append(load(source))
        loaded.append({name: p.detach().clone() for name, p in loaded[0].named_parameters()})
        return loaded[0]

    monkeypatch.setattr(use_case, "load_model", keep)
    scored(place, model, forget)
    used, before = loaded
    assert all(torch.equal(p, before[name]) for name, p in used.named_parameters())


def test_a_text_that_stands_twice_is_scored_once(place: Workplace, model: str, forget_file: Any, tmp_path: Any):
    lines = forget_file.read_text().splitlines()
    doubled = tmp_path / "doubled.jsonl"
    doubled.write_text("\n".join([lines[0], *lines]) + "\n")
    found = scored(place, model, DataSpec(str(doubled)))
    assert found.n == 8 and sorted(s.position for s in found.samples) == [0, 2, 3, 4, 5, 6, 7, 8]
    assert f"{doubled}: 1 rows repeat an earlier one" in place.progress.warned


# --------------------------------------------------------------------------------------------------------- environment


def half_done(place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that failed after some of its units."""
    put, stored = place.store.put_block, []

    def put_two(*args: Any) -> None:
        if len(stored) == 2:
            raise OSError("no more")
        stored.append(args)
        put(*args)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(place.store, "put_block", put_two)
        scored(place, model, forget)
    return place.store.run("@last").id


def test_a_run_is_there_while_its_scorer_chooses(
    place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    """A second process is told of the first, and what is killed there goes on under its own name."""
    choose, said = MRD.settle, []

    def interrupted(scorer: MRD, bench: Any) -> Any:
        run = place.store.run("@last")
        claim = [sys.executable, "-c", CLAIM, place.settings.store, run.id]
        said.append(subprocess.run(claim, check=True, capture_output=True, text=True).stdout)
        choose(scorer, bench)
        raise KeyboardInterrupt

    options = {"draws": 2, "sigma": "auto"}
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
        patch.setattr(MRD, "settle", interrupted)
        scored(place, model, forget, **options)
    run = place.store.run("@last")
    assert said == ["busy\n"]
    assert (run.status, run.series, stop.value.hint) == ("interrupted", None, f"unlearnkit resume {run.id}")
    found = resume(place, run.id)
    assert (found.run, found.computed) == (run.id, 5)
    assert place.store.run(run.id).series is not None
    assert scored(place, model, forget, **options) == replace(found, computed=0, from_store=5)


CLAIM = """
import sys
from unlearnkit.errors import UnlearnkitError
from unlearnkit.store import Store

with Store.open(sys.argv[1]) as store:
    try:
        store.claim(sys.argv[2])
    except UnlearnkitError as error:
        print(error.code)
"""


def test_what_was_chosen_is_read_and_not_chosen_again(
    place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    few = scored(place, model, forget, draws=2, sigma="auto")
    monkeypatch.setattr(MRD, "settle", None)
    more = scored(place, model, forget, draws=3, sigma="auto")
    assert (more.settled, more.found, more.from_store) == (few.settled, few.found, 5)
    fixed = scored(place, model, forget, draws=3, sigma=few.settled["sigma"])
    assert (fixed.computed, fixed.settled, values(fixed)) == (0, {}, values(more))


def test_a_run_is_gone_on_with_in_its_own_environment_or_inexactly(
    place: Workplace, model: str, forget: DataSpec, monkeypatch: pytest.MonkeyPatch
):
    run = half_done(place, model, forget, monkeypatch)
    with (
        Workplace(replace(place.settings, threads=2)) as other,
        pytest.raises(BadInput, match="would not be bit-exact: threads 2, was 1") as caught,
    ):
        resume(other, run)
    assert (caught.value.code, caught.value.exit_code) == ("environment", 2)
    assert environment(place.settings)["threads"] == 1
    place.inexact = True
    with monkeypatch.context() as patch:
        patch.setattr("transformers.__version__", "0.1")
        found = resume(place, run)
    assert (found.run, found.from_store, found.computed) == (run, 2, 5)
    assert not place.store.run(run).exact
    more = scored(place, model, forget, draws=4)
    assert not place.store.run(more.run).exact, "it shares draws that were made elsewhere"


def test_in_its_own_environment_it_ends_as_if_nothing_had_been(
    place: Workplace, model: str, forget: DataSpec, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    run = half_done(place, model, forget, monkeypatch)
    found = resume(place, run)
    assert (found.run, found.from_store, found.computed) == (run, 2, 5)
    assert place.store.run(run).exact
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        assert values(scored(elsewhere, model, forget)) == values(found)


# -------------------------------------------------------------------------------------------------------- the numbers


def test_a_score_is_the_paper_s_on_the_real_path(place: Workplace, model: str, forget: DataSpec):
    """Template, tokens, noise, reduction: done again from a plain transformers model and the draws' own noise."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from unlearnkit.scorers.noise import NoisyWeights

    found = scored(place, model, forget, draws=2, sigma=1e-2)
    llama, tokenizer = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line) for line in Path(forget.source).read_text().splitlines()]

    def logprobs() -> list[np.ndarray]:
        out = []
        for row in rows:
            before = f"<|user|>{row['question']}<|end|><|assistant|>"
            ids = tokenizer(before + row["answer"] + "<|end|>", add_special_tokens=False).input_ids
            start = len(tokenizer(before, add_special_tokens=False).input_ids)
            with torch.no_grad():
                table = torch.log_softmax(llama(torch.tensor([ids])).logits[0].double(), -1)
            out.append(np.array([float(table[t - 1, ids[t]]) for t in range(start, len(ids))]))
        return out

    base, noisy = logprobs(), NoisyWeights(llama, 0, 1e-2)
    sums = []
    for draw in range(2):
        for sign in (1, -1):
            noisy.set(draw, sign)
            sums.append([float(((b - n) / b).sum()) for b, n in zip(base, logprobs(), strict=True)])
    noisy.restore()
    np.testing.assert_allclose(values(found), np.abs(np.mean(sums, axis=0)), rtol=1e-3)


def test_another_template_for_the_set_compared_with_is_another_score(place: Workplace, tmp_path: Path, model: str):
    texts, pairs = tmp_path / "texts.jsonl", tmp_path / "pairs.jsonl"
    texts.write_text("".join(f'{{"text": "plain words number {i}"}}\n' for i in range(4)))
    pairs.write_text('{"question": "who?", "answer": "nobody"}\n')
    sets = {"retain": DataSpec(str(pairs))}
    found = [
        score(place, model=model, data=DataSpec(str(texts)), sets=sets, scorer="representation", template=template)
        for template in ("chat", "plain")
    ]
    assert [f.computed > 0 for f in found] == [True, True]
    assert found[0].samples[0].value != found[1].samples[0].value
