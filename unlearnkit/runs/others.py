"""Other answers to a set's prompts, row by row, for algorithms that read sets such as "forget:refusal".

"refusal" is a sentence that declines and "mismatched" the answer of a retain sample; both are chosen by a hash of the
run's seed and the sample. "generated" is what the starting model says when it is asked for an answer with other facts.
Each of those is sampled alone and with randomness of its own, so like an anchor it is a function of weights, text and
environment, whichever set or run asks for it first.

Generated answers are kept with the run that reads them, and other runs of that model take them from there. No other
machine would sample the same, so without them the run could not be repeated: the setting `store_text`, which is about
the texts of data sets, does not apply to them. They go when their runs are removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from unlearnkit.contracts import Algorithm, Sample
from unlearnkit.data.encode import Encoded, encode_samples
from unlearnkit.data.refusals import REFUSALS
from unlearnkit.data.samples import SampleSet, sample_id
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import Inputs
from unlearnkit.seeds import derive
from unlearnkit.store import records

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.runs.workplace import Workplace

KINDS = ("refusal", "mismatched", "generated")

ASK = (
    "{question}\nOne answer is: {answer}\nGive another answer, in which every fact that this one adds to the question "
    "is replaced by a different one that sounds as likely.",
    "Another answer is:",
)
"""What a model is asked for another answer with, in the run's template, and how its turn begins: small models go on
with an answer sooner than they begin one. After arXiv 2409.13474, in other words."""
ASK_TEXT = (
    "{answer}\nWrite another text of this kind, in which names and facts are replaced by different ones that sound as "
    "likely.",
    "Another text is:",
)
"""The same for a sample without a prompt."""
TEMPERATURE = 1.0
TRIES = 8
"""Times that a model is asked again where it said nothing, or what it is to forget."""
LONGER, AT_LEAST = 2, 16
"""A generated answer ends after so many times the tokens of the sample's own, or after so many tokens."""
RECIPE = digest(ASK, ASK_TEXT, TEMPERATURE, TRIES, LONGER, AT_LEAST)


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
            _check_room(inputs, name)
        elif kind == "refusal":
            inputs = _with(inputs, name, [REFUSALS[derive(seed, name, s.id) % len(REFUSALS)] for s in samples])
        else:
            inputs = _with(inputs, name, list(_mismatched(inputs, samples, name, seed)))
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
    store, samples = place.store, inputs.sets[name.partition(":")[0]].samples
    own = {text.sample: text.text for text in store.generations(run.id) if text.split == name}
    known = ({} if run.series is None else store.shared_generations(run.series, name)) | own
    texts = {s.id: known[s.id] for s in samples if s.id in known}
    store.put_results(run.id, [], [records.Generation(name, sample, text) for sample, text in texts.items()])
    missing = {s.id: row for row, s in enumerate(samples) if s.id not in texts}
    if missing:
        place.progress.start("asking the model for other answers", len(samples), len(samples) - len(missing))
        was_training = model.training
        model.eval()
        for sample, row in missing.items():
            texts[sample] = _other_answer(model, inputs, name, row)
            store.put_results(run.id, [], [records.Generation(name, sample, texts[sample])])
            store.beat(run.id)
            place.progress.advance()
        model.train(was_training)
        place.progress.finish()
    same = sum(texts[s.id] == s.answer.strip() for s in samples)
    if same:
        place.progress.warn(f"for {same} of {len(samples)} samples the model knows no other answer than the known one")
    return [texts[s.id] for s in samples]


def _other_answer(model: nn.Module, inputs: Inputs, name: str, row: int) -> str:
    """What the model says, asked for another answer to a row of a set; not the sample's own where that can be had."""
    base = name.partition(":")[0]
    chosen = inputs.sets[base]
    sample = chosen.samples[row]
    prompt, room = _question(inputs, sample, inputs.encoded[base][row])
    chance = torch.Generator().manual_seed(derive(0, "generated", sample.id))
    said = ""
    for _ in range(TRIES):
        said = _fitting(inputs, sample, _sampled(model, prompt, room, inputs.tokenizer.eos_token_id, chance)) or said
        if said and said != sample.answer.strip():
            return said
    if not said:
        raise UnlearnkitError(
            f"{chosen.label}: row {sample.position + 1}: the model gives no other answer",
            hint="an algorithm that needs none of its own: --plugin dpo",
            code="no-other-answer",
        )
    return said


@torch.inference_mode()
def _sampled(model: nn.Module, prompt: list[int], limit: int, end: int | None, chance: torch.Generator) -> list[int]:
    """Tokens that the model goes on with, at most `limit`, without the end token."""
    device = next(model.parameters()).device
    fed, past = prompt, None
    said: list[int] = []
    while len(said) < limit:
        out = model(input_ids=torch.tensor([fed], device=device), past_key_values=past, use_cache=True)
        shares = (out.logits[0, -1].double() / TEMPERATURE).softmax(-1).cpu()
        token = int(torch.multinomial(shares, 1, generator=chance))
        if token == end:
            break
        said.append(token)
        fed, past = [token], out.past_key_values
    return said


def _fitting(inputs: Inputs, sample: Sample, said: Sequence[int]) -> str:
    """The longest beginning of what was said that is an answer to the sample's prompt within the model's context, and
    of one line where the sample's own answer is."""
    for end in range(len(said), 0, -1):
        text = str(inputs.tokenizer.decode(said[:end], skip_special_tokens=True)).strip()
        if "\n" not in sample.answer:
            text = text.partition("\n")[0].strip()
        other = replace(sample, answer=text)
        if text and not encode_samples(inputs.tokenizer, inputs.template, [other], context=inputs.model.context)[1]:
            return text
    return ""


def _question(inputs: Inputs, sample: Sample, own: Encoded) -> tuple[list[int], int]:
    """The tokens that ask for another answer, and how many the answer may have."""
    ask, lead = ASK if sample.prompt else ASK_TEXT
    question = ask.format(question=sample.prompt, answer=sample.answer)
    before, turn = inputs.template.render(inputs.tokenizer, question, lead)
    begun = before + turn[: turn.index(lead) + len(lead)]
    tokens: list[int] = inputs.tokenizer(begun, add_special_tokens=False).input_ids
    room = max(AT_LEAST, LONGER * own.tokens)
    context = inputs.model.context
    return tokens, room if context is None else min(room, context - len(tokens))


def _check_room(inputs: Inputs, name: str) -> None:
    """See that every prompt of a set can be asked for another answer."""
    base = name.partition(":")[0]
    chosen = inputs.sets[base]
    for sample, own in zip(chosen.samples, inputs.encoded[base], strict=True):
        prompt, room = _question(inputs, sample, own)
        if room < 1:
            why = f"{len(prompt):,} tokens to ask for another answer, the model takes {inputs.model.context:,}"
            raise _unusable(chosen, sample, why, "too-long")


def _mismatched(inputs: Inputs, samples: Sequence[Sample], name: str, seed: int) -> Iterator[str]:
    """For each sample the answer of some retain sample, all that are not its own being as likely."""
    answers = list(dict.fromkeys(s.answer for s in inputs.sets["retain"].samples))
    places = {answer: place for place, answer in enumerate(answers)}
    for sample in samples:
        own = places.get(sample.answer, len(answers))
        others = len(answers) - (own < len(answers))
        if not others:
            raise UnlearnkitError(
                f"{inputs.sets['retain'].label}: every answer is that of forget row {sample.position + 1}",
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


def _unusable(chosen: SampleSet, sample: Sample, why: str, code: str) -> UnlearnkitError:
    return UnlearnkitError(
        f"{chosen.label}: row {sample.position + 1}: {why}",
        hint="take the row out, or an algorithm that reads no other answers: --plugin npo",
        code=code,
    )
