"""Other answers: aligned with their set, chosen or made up once, and kept with the run that reads them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pluggy
import pytest
import torch
from architectures import HYBRIDS, MODELS

from runs.conftest import Desk, Job, NewDesk
from unlearnkit.algorithms.ga import GA
from unlearnkit.contracts import Sample
from unlearnkit.data.refusals import REFUSALS
from unlearnkit.data.samples import DataSpec, sample_id
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.plugins import Plugins
from unlearnkit.runs import asking, others
from unlearnkit.runs.anchors import reference_nll
from unlearnkit.runs.inputs import Inputs, find_model, prepare, read_set
from unlearnkit.runs.resume import resume
from unlearnkit.runs.training import Schedule, TrainingReport
from unlearnkit.runs.unlearn import unlearn
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store.records import Generation

SHORT = Schedule(max_steps=1, batch_size=4, lr=1e-3)
EACH = ("graddiff", "kl", "idk", "dpo", "altpo", "idk-ap", "llmu", "jensun")
GENERATED = "forget:generated"
hookimpl = pluggy.HookimplMarker("unlearnkit")


@pytest.fixture
def asked(model: str, forget_file: Path, retain: DataSpec, tmp_path: Path) -> dict[str, Any]:
    """A run about four samples."""
    four = tmp_path / "four.jsonl"
    four.write_text("".join(forget_file.read_text(encoding="utf-8").splitlines(keepends=True)[:4]), encoding="utf-8")
    forget = DataSpec(str(four))
    return {"model": model, "forget": forget, "retain": retain, "algorithm": "altpo", "schedule": SHORT}


@pytest.fixture
def read(place: Workplace, model: str) -> Callable[..., Inputs]:
    """Inputs of sets from files."""

    def inputs(**files: Path | str) -> Inputs:
        specs = {role: DataSpec(str(file)) for role, file in files.items()}
        sets = {role: read_set(place, spec) for role, spec in specs.items()}
        return prepare(place, find_model(place, model), specs, sets, template="auto", system_prompt=None)

    return inputs


@pytest.fixture
def both(read: Callable[..., Inputs], forget_file: Path, retain_file: Path) -> Inputs:
    return read(forget=forget_file, retain=retain_file)


def rows(path: Path, *pairs: tuple[str, str]) -> Path:
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs), encoding="utf-8")
    return path


def texts(place: Workplace, found: TrainingReport) -> dict[str, str]:
    return {text.sample: text.text for text in place.store.generations(found.run) if text.split == GENERATED}


# ------------------------------------------------------------------------------------------------------ from end to end


@pytest.mark.parametrize("algorithm", EACH)
def test_the_command_moves_the_forget_term(
    cli: Callable[..., Any], model: str, forget_file: Path, retain_file: Path, algorithm: str
):
    answer = cli(
        "unlearn", "--model", model, "--forget", forget_file, "--retain", retain_file, "--plugin", algorithm,
        "--max-steps", "3", "--batch-size", "8", "--lr", "1e-2", "--format", "json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    steps = cli("runs", "show", answer.json["run"], "--format", "json").json["steps"]
    assert len(steps) == 3
    assert steps[-1]["forget"] < steps[0]["forget"], "each of these falls as a sample is forgotten"


# -------------------------------------------------------------------------------------------------------------- chosen


@pytest.mark.parametrize("name", ["forget:refusal", "forget:mismatched", "retain:refusal", "retain:mismatched"])
def test_other_answers_stand_row_by_row_with_the_prompts(both: Inputs, name: str):
    base = name.partition(":")[0]
    found = others.chosen(both, [name], seed=0)
    assert len(found.sets[name].samples) == len(found.encoded[name]) == len(both.sets[base].samples)
    for sample, other, tokens, own in zip(
        both.sets[base].samples, found.sets[name].samples, found.encoded[name], both.encoded[base], strict=True
    ):
        assert (other.prompt, other.position) == (sample.prompt, sample.position)
        assert other.answer != sample.answer
        assert other.id == sample_id(other.prompt, other.answer)
        assert tokens.prompt == own.prompt
        said = both.tokenizer.decode(tokens.ids[tokens.labels_from :])
        assert said == other.answer + both.tokenizer.eos_token
    assert found.sets[base] is both.sets[base]


def test_refusals_vary_and_depend_on_seed_and_sample_alone(both: Inputs, read: Callable[..., Inputs], tmp_path: Path):
    def refusals(inputs: Inputs, seed: int = 0) -> dict[str, str]:
        samples = others.chosen(inputs, ["forget:refusal"], seed).sets["forget:refusal"].samples
        return {sample.prompt: sample.answer for sample in samples}

    found = refusals(both)
    assert set(found.values()) <= set(REFUSALS)
    assert len(set(found.values())) > 4
    assert refusals(both, seed=1) != found
    pairs = [(s.prompt, s.answer) for s in both.sets["forget"].samples]
    shuffled = read(forget=rows(tmp_path / "shuffled.jsonl", *pairs[::-1], pairs[3]))
    assert refusals(shuffled) == found


def test_a_mismatched_answer_is_any_retain_answer_but_the_samples_own(read: Callable[..., Inputs], tmp_path: Path):
    forget = rows(tmp_path / "f.jsonl", ("Who sings?", "Ada."), ("Who paints?", "Nobody."))
    retain = rows(tmp_path / "r.jsonl", ("Who bakes?", "Ada."), ("Who flies?", "Bo."), ("Who weaves?", "Cleo."))
    inputs = read(forget=forget, retain=retain)
    seen: list[set[str]] = [set(), set()]
    for seed in range(40):
        samples = others.chosen(inputs, ["forget:mismatched"], seed).sets["forget:mismatched"].samples
        for found, sample in zip(seen, samples, strict=True):
            found.add(sample.answer)
    assert seen == [{"Bo.", "Cleo."}, {"Ada.", "Bo.", "Cleo."}]


def test_no_mismatched_answer_can_be_had(place: Workplace, asked: dict[str, Any], tmp_path: Path, no_model: None):
    asked["forget"] = DataSpec(str(rows(tmp_path / "f.jsonl", ("Who sings?", "Ada."))))
    asked["retain"] = DataSpec(str(rows(tmp_path / "r.jsonl", ("Who bakes?", "Ada."), ("Who flies?", "Ada."))))
    with pytest.raises(UnlearnkitError, match="row 1: its answer is that of every row") as caught:
        unlearn(place, **asked | {"algorithm": "llmu"})
    assert caught.value.code == "no-other-answer"


@pytest.mark.parametrize(("algorithm", "words"), [("idk", 236), ("llmu", 236), ("altpo", 200)])
def test_a_prompt_without_room_for_another_answer_is_told_of_before_anything_is_done(
    place: Workplace, asked: dict[str, Any], tmp_path: Path, no_model: None, algorithm: str, words: int
):
    """The model takes 256 tokens."""
    long = ("a" * words, "b")
    asked["forget"] = DataSpec(str(rows(tmp_path / "f.jsonl", ("Who sings?", "Ada."), long)))
    asked["retain"] = DataSpec(str(rows(tmp_path / "r.jsonl", ("Who?", "zq" * 12))))
    with pytest.raises(UnlearnkitError, match="row 2: ") as caught:
        unlearn(place, **asked | {"algorithm": algorithm})
    assert caught.value.code == "too-long"
    assert place.store.runs() == []


def test_mismatched_answers_need_a_retain_set_where_nothing_is_retained(place: Workplace, asked: dict[str, Any]):
    asked |= {"algorithm": "llmu", "options": {"alpha": 0.0}}
    with pytest.raises(BadInput, match="needs a retain set"):
        unlearn(place, **asked | {"retain": None})
    assert "retain" not in unlearn(place, **asked).terms


@dataclass(frozen=True)
class Curious(GA):
    """Reads a set that nobody makes."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("forget", "forget:rhymes")


class Offered:
    @hookimpl
    def register_algorithms(self) -> Mapping[str, type]:
        return {"curious": Curious}


def test_a_set_that_nobody_makes(place: Workplace, asked: dict[str, Any], no_model: None):
    place.__dict__["plugins"] = Plugins(entry_points=(), extra=[Offered()])
    with pytest.raises(UnlearnkitError, match="forget:rhymes") as caught:
        unlearn(place, **asked | {"algorithm": "curious"})
    assert caught.value.code == "plugin-contract"


def test_anchors_of_refusals_are_their_likelihoods(
    place: Workplace, asked: dict[str, Any], model: str, forget: DataSpec, both: Inputs
):
    from transformers import AutoModelForCausalLM

    unlearn(place, **asked | {"algorithm": "dpo", "forget": forget})
    found = others.chosen(both, ["forget:refusal"], seed=0)
    weights = AutoModelForCausalLM.from_pretrained(model).eval()
    anchors = reference_nll(place, None, found, "forget:refusal")  # type: ignore[arg-type] # all are in the store
    for anchor, tokens in zip(anchors, found.encoded["forget:refusal"], strict=True):
        ids = torch.tensor([tokens.ids])
        with torch.no_grad():
            shares = weights(ids).logits[0].double().log_softmax(-1)
        nll = -sum(shares[t - 1, tokens.ids[t]] for t in range(tokens.labels_from, len(tokens)))
        assert float(anchor) == pytest.approx(float(nll), rel=1e-5)


# ----------------------------------------------------------------------------------------------------------- generated


def test_generated_answers_are_kept_and_not_made_again(
    place: Workplace, asked: dict[str, Any], both: Inputs, monkeypatch: pytest.MonkeyPatch
):
    first = unlearn(place, **asked)
    made = texts(place, first)
    samples = both.sets["forget"].samples[:4]
    assert made.keys() == {s.id for s in samples}
    assert all(made[s.id] and made[s.id] != s.answer for s in samples)
    assert not place.settings.store_text, "they are kept all the same"

    monkeypatch.setattr(asking, "sampled", lambda *_: pytest.fail("asked again"))
    second = unlearn(place, **asked | {"schedule": replace(SHORT, lr=2e-3, seed=5)})
    assert second.run != first.run and texts(place, second) == made
    place.store.remove_run(first.run)
    assert texts(place, second) == made, "each run has its own"
    assert unlearn(place, **asked | {"schedule": replace(SHORT, lr=3e-3)}).steps == 1


def test_a_complete_run_is_found_without_a_model(
    place: Workplace, asked: dict[str, Any], request: pytest.FixtureRequest
):
    first = unlearn(place, **asked)
    request.getfixturevalue("no_model")
    assert unlearn(place, **asked) == resume(place, first.run) == replace(first, already=True)


def test_what_is_generated_depends_on_model_and_sample_alone(
    place: Workplace, asked: dict[str, Any], both: Inputs, tmp_path: Path
):
    made = texts(place, unlearn(place, **asked))
    some = [(s.prompt, s.answer) for s in both.sets["forget"].samples[3:1:-1]]
    few = {"forget": DataSpec(str(rows(tmp_path / "few.jsonl", *some))), "schedule": replace(SHORT, seed=9)}
    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        again = texts(elsewhere, unlearn(elsewhere, **asked | few))
    assert len(again) == 2 and again.items() <= made.items()


def test_a_run_that_ends_while_answers_are_made_goes_on(
    place: Workplace, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    undisturbed = unlearn(place, **asked)
    other_answer, done = others.other_answer, []

    def interrupted(*args: Any) -> str:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(args[2].position)
        return other_answer(*args)

    with Workplace(replace(place.settings, store=str(tmp_path / "other.db"))) as elsewhere:
        monkeypatch.setattr(others, "other_answer", interrupted)
        with pytest.raises(UnlearnkitError, match="stopped"):
            unlearn(elsewhere, **asked)
        kept = elsewhere.store.generations(elsewhere.store.run("@last").id)
        assert len(kept) == 2
        monkeypatch.setattr(others, "other_answer", lambda *args: done.append(args[2].position) or other_answer(*args))
        found = resume(elsewhere, "@last")
        assert sorted(done) == [0, 1, 2, 3], "each row once"
        assert texts(elsewhere, found) == texts(place, undisturbed)
        assert found.model == undisturbed.model and elsewhere.store.run(found.run).exact


@pytest.mark.slow
def test_killed_while_answers_are_made(model: str, forget_file: Path, retain_file: Path, new_desk: NewDesk):
    """By SIGKILL as soon as an answer is in the store; what is there at last is what an undisturbed process leaves."""
    words = (
        "unlearn", "--model", model, "--forget", str(forget_file), "--retain", str(retain_file), "--plugin", "altpo",
        "--max-steps", "2", "--batch-size", "4", "--lr", "1e-3", "--checkpoint-every", "1", "--out", "model",
    )  # fmt: skip
    job = Job(words, "unlearn", "model")

    def made(desk: Desk) -> list[Generation]:
        with desk.store as store:
            return store.generations(store.run("@last").id)

    undisturbed, desk = new_desk("undisturbed"), new_desk("killed")
    undisturbed.run(*words)
    command = desk.start(*words)
    assert command.reach("run unlearn")
    while not made(desk):
        assert command.running, command.stderr
    command.signal(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert len(made(desk)) < 8
    desk.run(*words)
    assert job.result(desk) == job.result(undisturbed)
    assert made(desk) == made(undisturbed)


@pytest.fixture
def sayings(monkeypatch: pytest.MonkeyPatch, both: Inputs) -> Callable[..., None]:
    """Let the model say these, one after another, the last for ever."""

    def say(*said: str) -> None:
        left = list(said)
        ids = both.tokenizer.encode
        monkeypatch.setattr(asking, "sampled", lambda *_: ids(left.pop(0) if len(left) > 1 else left[0]))

    return say


@pytest.fixture
def one(asked: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A forget set of one sample."""
    return asked | {"forget": DataSpec(str(rows(tmp_path / "one.jsonl", ("Who sings?", "Ada Quill."))))}


def test_the_known_answer_and_silence_are_asked_past(
    place: Workplace, one: dict[str, Any], sayings: Callable[..., None]
):
    sayings("Ada Quill.", "", " ", " Ada Quill. ", " Bo Tarn. ", "Cleo Marsh.")
    assert list(texts(place, unlearn(place, **one)).values()) == ["Bo Tarn."]


def test_a_model_that_knows_one_answer_alone(place: Workplace, one: dict[str, Any], sayings: Callable[..., None]):
    sayings("Ada Quill.", "")
    assert list(texts(place, unlearn(place, **one)).values()) == ["Ada Quill."]
    warned = place.progress.warned  # type: ignore[attr-defined]
    assert any(line.startswith("for 1 of 1 samples the model knows no other answer") for line in warned)


def test_a_model_that_says_nothing(place: Workplace, one: dict[str, Any], sayings: Callable[..., None]):
    sayings("")
    with pytest.raises(UnlearnkitError, match="row 1: the model gives no other answer") as caught:
        unlearn(place, **one)
    assert caught.value.code == "no-other-answer"


def test_what_is_too_long_is_shortened(place: Workplace, asked: dict[str, Any], tmp_path: Path, both: Inputs):
    """To the most that fits into the model's 256 tokens beside the prompt."""
    sample = Sample("id", 0, "a" * 240, "b")
    said = both.tokenizer.encode("z" * 100)
    answer = asking.fitting(both, sample, said)
    assert answer and set(answer) == {"z"}
    lengths = [len(both.tokenizer.encode(f"<|user|>{'a' * 240}<|end|><|assistant|>{'z' * n}<|end|>")) for n in (
        len(answer), len(answer) + 1)]  # fmt: skip
    assert lengths == [256, 257]


def test_tokens_are_drawn_from_the_whole_distribution(place: Workplace, model: str, both: Inputs):
    """As without a cache of keys and values, with the same chance."""
    from transformers import AutoModelForCausalLM

    weights = AutoModelForCausalLM.from_pretrained(model).eval()
    prompt = list(both.encoded["forget"][0].prompt)
    found = asking.sampled(weights, prompt, 30, None, torch.Generator().manual_seed(3))
    chance, whole = torch.Generator().manual_seed(3), list(prompt)
    with torch.no_grad():
        for _ in range(30):
            odds = weights(torch.tensor([whole])).logits[0, -1].double().exp()
            whole.append(int(torch.multinomial(odds / odds.sum(), 1, generator=chance)))
    assert found == whole[len(prompt) :]
    stopped = asking.sampled(weights, prompt, 30, found[7], torch.Generator().manual_seed(3))
    assert stopped == found[: found.index(found[7])]


@pytest.mark.parametrize("name", ["mamba", "jamba"])
def test_tokens_are_drawn_whatever_the_model_keeps(name: str):
    weights, prompt = (MODELS | HYBRIDS)[name](), [3, 4, 5]
    found = asking.sampled(weights, prompt, 8, None, torch.Generator().manual_seed(3))
    chance = torch.Generator().manual_seed(3)
    for said in range(8):
        with torch.no_grad():
            odds = weights(torch.tensor([prompt + found[:said]])).logits[0, -1].double().exp()
        assert found[said] == int(torch.multinomial(odds / odds.sum(), 1, generator=chance))


def test_a_model_is_asked_with_prompt_and_answer_and_its_turn_is_begun(both: Inputs):
    sample, own = both.sets["forget"].samples[0], both.encoded["forget"][0]
    prompt, room = asking.question(both, sample, own)
    text = both.tokenizer.decode(prompt)
    assert text.startswith(f"<|user|>{sample.prompt}\nOne answer is: {sample.answer}\n")
    assert text.endswith("<|end|><|assistant|>Another answer is:")
    assert room == max(16, 2 * own.tokens)


def test_a_plain_text_is_asked_for_another_text(read: Callable[..., Inputs], tmp_path: Path):
    path = tmp_path / "plain.jsonl"
    path.write_text(json.dumps({"text": "Ada sings.\nBo paints."}) + "\n", encoding="utf-8")
    inputs = read(forget=path)
    prompt, _ = asking.question(inputs, inputs.sets["forget"].samples[0], inputs.encoded["forget"][0])
    text = inputs.tokenizer.decode(prompt)
    assert text.startswith("<|user|>Ada sings.\nBo paints.\nWrite another text")
    assert text.endswith("<|end|><|assistant|>Another text is:")


@pytest.mark.parametrize(("own", "found"), [("Ada.", "Bo."), ("Ada.\nCleo.", "Bo.\nDov.")])
def test_an_answer_of_one_line_is_answered_in_one(both: Inputs, own: str, found: str):
    said = both.tokenizer.encode("\n\0Bo.\nDov.\n")
    assert asking.fitting(both, Sample("id", 0, "Who sings?", own), said) == found
