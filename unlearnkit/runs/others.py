"""Other answers to a set's prompts, row by row, for algorithms that read sets such as "forget:refusal".

"refusal" is a sentence that declines and "mismatched" the answer of a retain sample; both are chosen by a hash of the
run's seed and the sample. "generated" is what the starting model says when it is asked for an answer with other facts.

Generated answers are kept with the run that reads them, and other runs of that model take them from there. No other
machine would sample the same, so without them the run could not be repeated: the setting `store_text`, which is about
the texts of data sets, does not apply to them. They go when their runs are removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unlearnkit.contracts import Algorithm, Sample
from unlearnkit.data.encode import Encoded, encode_samples
from unlearnkit.data.refusals import REFUSALS
from unlearnkit.data.samples import SampleSet, sample_id
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.asking import RECIPE, other_answer, question
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import Inputs
from unlearnkit.seeds import derive
from unlearnkit.store import records

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.runs.workplace import Workplace

KINDS = ("refusal", "mismatched", "generated")


def other_answers(algorithm: Algorithm, name: str) -> tuple[str, ...]:
    """Sets of other answers that an algorithm reads.

    Raises:
        UnlearnkitError: code "plugin-contract", where there is no such set.
    """
    found = tuple(read for read in algorithm.reads if ":" in read)
    bases = ("forget", "retain") if algorithm.uses_retain else ("forget",)
    known = [f"{base}:{kind}" for base in bases for kind in KINDS]
    if unknown := [read for read in found if read not in known]:
        raise UnlearnkitError(
            f'algorithm {name} reads a set "{unknown[0]}"', hint=f"there are {', '.join(known)}", code="plugin-contract"
        )
    return found


def chosen(inputs: Inputs, names: Collection[str], seed: int) -> Inputs:
    """The inputs with those of the named sets that need no model.

    Raises:
        UnlearnkitError: codes "too-long" and "no-target", where a prompt has no room for another answer, or for being
            asked for one; "no-other-answer", where all retain samples have one answer.
    """
    for name in names:
        base, _, kind = name.partition(":")
        samples = inputs.sets[base].samples
        if kind == "generated":
            _check_room(inputs, base)
        elif kind == "refusal":
            inputs = _with(inputs, name, [REFUSALS[derive(seed, name, s.id) % len(REFUSALS)] for s in samples])
        else:
            inputs = _with(inputs, name, list(_mismatched(inputs, name, seed)))
    return inputs


def fingerprints(inputs: Inputs, names: Collection[str]) -> dict[str, str]:
    """What other answers are determined by, by set: for generated ones, how they are asked for."""
    return {name: inputs.sets[name].fingerprint if name in inputs.sets else RECIPE for name in names}


def series(place: Workplace, inputs: Inputs, names: Collection[str]) -> str | None:
    """The key of what generated answers are a function of besides their samples; None where none are read."""
    if not any(name.endswith(":generated") for name in names):
        return None
    return digest("generated", RECIPE, inputs.model.fingerprint, inputs.template.fingerprint, place.environment())


def generated(place: Workplace, run: records.Run, model: nn.Module, inputs: Inputs, names: Collection[str]) -> Inputs:
    """The inputs with the named sets that the model itself gives, from the store where they are there.

    Args:
        run: the run that reads them, of the series that they belong to.
        model: the starting weights.

    Raises:
        UnlearnkitError: code "no-other-answer", where a model says nothing.
    """
    for name in names:
        if name.endswith(":generated"):
            inputs = _with(inputs, name, _generated(place, run, model, inputs, name))
    return inputs


def _generated(place: Workplace, run: records.Run, model: nn.Module, inputs: Inputs, name: str) -> list[str]:
    """For each sample of a set the model's other answer: the run's, another run's, or one that is asked for now."""
    store, base = place.store, name.partition(":")[0]
    unique = inputs.unique(base)
    samples = dict(zip(unique.sets[base].samples, unique.encoded[base], strict=True))
    own = {text.sample: text.text for text in store.generations(run.id) if text.split == name}
    known = ({} if run.series is None else store.shared_generations(run.series, name)) | own
    texts = {s.id: known[s.id] for s in samples if s.id in known}
    store.put_results(run.id, [], [records.Generation(name, sample, text) for sample, text in texts.items()])
    missing = {s: encoded for s, encoded in samples.items() if s.id not in texts}
    for sample, text in _asked(place, model, inputs, base, missing):
        store.put_results(run.id, [], [records.Generation(name, sample.id, text)])
        store.beat(run.id)
        texts[sample.id] = text
    if same := sum(texts[s.id] == s.answer.strip() for s in samples):
        place.progress.warn(f"for {same} of {len(samples)} samples the model knows no other answer than the known one")
    return [texts[s.id] for s in inputs.sets[base].samples]


def _asked(
    place: Workplace, model: nn.Module, inputs: Inputs, base: str, missing: Mapping[Sample, Encoded]
) -> Iterator[tuple[Sample, str]]:
    """Each sample with the model's other answer, as soon as it is there."""
    if not missing:
        return
    was_training = model.training
    model.eval()
    place.progress.start("asking the model for other answers", len(missing))
    for sample, own in missing.items():
        if not (text := other_answer(model, inputs, sample, own)):
            raise UnlearnkitError(
                f"{_row(inputs.sets[base], sample)}: the model gives no other answer",
                hint="an algorithm that needs none of the model's own: --plugin dpo",
                code="no-other-answer",
            )
        yield sample, text
        place.progress.advance()
    place.progress.finish()
    model.train(was_training)


def _check_room(inputs: Inputs, base: str) -> None:
    """See that a model can be asked about every sample of a set."""
    for sample, own in zip(inputs.sets[base].samples, inputs.encoded[base], strict=True):
        prompt, room = question(inputs, sample, own)
        if room < 1:
            why = f"{len(prompt):,} tokens to ask for another answer, the model takes {inputs.model.context:,}"
            raise _unusable(inputs.sets[base], sample, why, "too-long")


def _mismatched(inputs: Inputs, name: str, seed: int) -> Iterator[str]:
    """For each sample the answer of some retain sample, all that are not its own being as likely."""
    base, retain = inputs.sets[name.partition(":")[0]], inputs.sets["retain"]
    answers = list(dict.fromkeys(s.answer for s in retain.samples))
    places = {answer: place for place, answer in enumerate(answers)}
    for sample in base.samples:
        own = places.get(sample.answer, len(answers))
        others = len(answers) - (own < len(answers))
        if not others:
            raise UnlearnkitError(
                f"{_row(base, sample)}: its answer is that of every row of {retain.label}",
                hint="a retain set with other answers",
                code="no-other-answer",
            )
        at = derive(seed, name, sample.id) % others
        yield answers[at + (at >= own)]


def _with(inputs: Inputs, name: str, answers: Sequence[str]) -> Inputs:
    """The inputs with a set of other answers, checked against template and context."""
    base = inputs.sets[name.partition(":")[0]]
    samples = tuple(
        Sample(sample_id(s.prompt, answer), s.position, s.prompt, answer)
        for s, answer in zip(base.samples, answers, strict=True)
    )
    encoded, faults = encode_samples(inputs.tokenizer, inputs.template, samples, context=inputs.model.context)
    for sample in samples:
        if sample.position in faults:
            code, text = faults[sample.position]
            raise _unusable(base, sample, f"{text} with another answer ({name})", code)
    others = SampleSet(f"{base.label} ({name})", samples, {})
    return replace(inputs, sets={**inputs.sets, name: others}, encoded={**inputs.encoded, name: encoded})


def _unusable(whole: SampleSet, sample: Sample, why: str, code: str) -> UnlearnkitError:
    hint = "take the row out, or an algorithm that reads no other answers: --plugin npo"
    return UnlearnkitError(f"{_row(whole, sample)}: {why}", hint=hint, code=code)


def _row(whole: SampleSet, sample: Sample) -> str:
    return f"{whole.label}: row {sample.position + 1}"
