"""Paraphrases and wrong answers by rule, for data that come without: modest, but the same every time.

A paraphrase is the answer in another frame ("The answer is …"), with no fact changed. A wrong answer is that paraphrase
with one thing in it replaced by one of its kind from another sample of the set: a number, a date, a name that the
question does not say. Where that does not give enough, the answer of another sample of about its length stands in, in
the same frame. So right and wrong differ in what is said, not in how.

Everything is a function of the set: what is chosen among texts of one length is chosen by a hash of the sample's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from unlearnkit.contracts import Sample
from unlearnkit.data.samples import SampleSet
from unlearnkit.seeds import derive

WRONG = 5
"""Wrong answers a sample gets, at most: as many as TOFU's have."""

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?:{MONTHS})(?:\s+\d{{1,2}}(?:st|nd|rd|th)?)?,?\s+\d{{4}}"
YEAR = r"\b(?:1[0-9]|20)\d{2}"
NUMBER = r"\b\d+(?:[.,]\d+)*\b"
TITLE = r"(?<=[\"“])[A-Z][^\"“”\n]{1,80}?(?=[,.;]?[\"”])"
WORD = r"[A-Z](?:[\w-]|['’](?!s\b)(?=\w))+"
NAME = rf"\b{WORD}(?:\s+(?:(?:of|the|de|van|von|der|la)\s+)*{WORD})*"
SLOTS = re.compile(
    rf"(?P<date>{DATE})|(?P<title>{TITLE})|(?P<decade>{YEAR}s\b)|(?P<year>{YEAR}\b)|(?P<number>{NUMBER})|(?P<name>{NAME})"
)
KINDS = tuple(SLOTS.groupindex)

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "A An The This That These Those It Its He She They His Her Their We Our You Your I In On At By For From As Of "
        "To There Here When While Where Who What Which How Why And But Or If Yes No Not Some Many Most All Both "
        "Several One Two Three Four Five",
    )
)
"""Words that are capitalised at the start of a sentence alone, and are no names."""

SENTENCE = ("It is true that {}", "It is a fact that {}", "It can be said that {}", "As far as is known, {}")
"""Frames for an answer that is a sentence."""
PHRASE = ("The answer is {}", "The answer to this is {}", "The right answer is {}", "That would be {}")
"""Frames for one that is less than a sentence."""
VERBS = re.compile(r"\b(?:is|are|was|were|has|have|had|does|do|did|will|would|can|could|may|might|\w{3,}(?:ed|es|s))\b")


@dataclass(frozen=True)
class Slot:
    """A thing in a text that could be another of its kind."""

    kind: str
    """One of `KINDS`."""
    text: str
    start: int


@dataclass(frozen=True)
class Pool:
    """Texts to choose from, each once, in alphabetical order and by their number of words."""

    by_words: Mapping[int, Sequence[str]]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Pool:
        found: dict[int, list[str]] = {}
        for text in sorted(set(texts)):
            found.setdefault(len(text.split()), []).append(text)
        return cls(found)

    def near(self, text: str, sample: Sample) -> Iterator[str]:
        """All of them, first those that are as many words as a text is; which of many comes first is by the sample."""
        n = len(text.split())
        for words in sorted(self.by_words, key=lambda words: (abs(words - n), words)):
            same = self.by_words[words]
            first = derive(0, "other", sample.id, words) % len(same)
            yield from same[first:]
            yield from same[:first]


@dataclass(frozen=True)
class Material:
    """What wrong answers are made of: the things that a set's answers name, by kind; its answers; and which of them
    answer a prompt."""

    things: Mapping[str, Pool]
    answers: Pool
    to: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Material:
        asked = [sample for sample in samples if sample.prompt.strip()]
        things: dict[str, list[str]] = {kind: [] for kind in KINDS}
        to: dict[str, list[str]] = {}
        for sample in asked:
            to.setdefault(sample.prompt, []).append(sample.answer)
            for slot in slots(sample.answer):
                things[slot.kind].append(slot.text)
        pools = {kind: Pool.of(texts) for kind, texts in things.items()}
        return cls(pools, Pool.of(sample.answer for sample in asked), to)


def completed(chosen: SampleSet) -> SampleSet:
    """The set with paraphrases and wrong answers made where samples have none, and counts of both.

    What the data say stays as it is: given wrong answers get no made paraphrase beside them, as that would be of
    another form than they are. Samples without a prompt are left alone, as there is nothing to ask.
    """
    material = Material.of(chosen.samples)
    samples = tuple(_with_others(sample, material) for sample in chosen.samples)
    both = list(zip(chosen.samples, samples, strict=True))
    made = {
        "paraphrases": sum(before.paraphrases != after.paraphrases for before, after in both),
        "wrong": sum(before.wrong != after.wrong for before, after in both),
    }
    return replace(chosen, samples=samples, made=made)


def paraphrase(sample: Sample) -> str:
    """The sample's answer in another frame."""
    return framed(frame(sample), sample.answer)


def frame(sample: Sample) -> str:
    """The frame that a sample's answers are put into."""
    fitting = SENTENCE if _is_sentence(sample.answer) else PHRASE
    return fitting[derive(0, "frame", sample.id) % len(fitting)]


def framed(frame: str, answer: str) -> str:
    """An answer in a frame: it no longer begins the sentence, and ends as it did."""
    first, space, rest = answer.strip().partition(" ")
    return frame.format((first.lower() if first in FUNCTION_WORDS and first != "I" else first) + space + rest)


def slots(text: str, known: str = "") -> Iterator[Slot]:
    """Things in a text that could be others of their kind, but for those that `known`, a question, says."""
    said = known.casefold()
    for found in SLOTS.finditer(text):
        kind, thing, start = str(found.lastgroup), found[0], found.start()
        if kind == "name":
            first, _, rest = thing.partition(" ")
            if first in FUNCTION_WORDS:
                thing, start = rest, start + len(thing) - len(rest)
            # A word that begins a sentence may be no name.
            if " " not in thing and text[:start].rstrip()[-1:] in ("", ".", "!", "?"):
                continue
        if thing and thing.casefold() not in said:
            yield Slot(kind, thing, start)


def swapped(text: str, slot: Slot, other: str) -> str:
    """The text with another thing in the slot."""
    return text[: slot.start] + other + text[slot.start + len(slot.text) :]


def _with_others(sample: Sample, material: Material) -> Sample:
    if sample.wrong or not sample.prompt.strip():
        return sample
    form = None if sample.paraphrases else frame(sample)
    right = sample.paraphrases[0] if form is None else framed(form, sample.answer)
    taken = {_alike(text) for text in (sample.answer, right, *sample.paraphrases)}
    wrong: list[str] = []
    for text in _wrong(sample, right, form or "{}", material):
        if len(wrong) == WRONG:
            break
        if _alike(text) not in taken:
            taken.add(_alike(text))
            wrong.append(text)
    return replace(sample, paraphrases=sample.paraphrases or (right,), wrong=tuple(wrong)) if wrong else sample


def _wrong(sample: Sample, right: str, form: str, material: Material) -> Iterator[str]:
    """Wrong answers, best first: one thing swapped, a different one each time while there are; then others' answers."""
    things = list(slots(right, sample.prompt))
    own = [slot.text for slot in things]
    left = [(slot, _apart(material.things[slot.kind].near(slot.text, sample), own)) for slot in things]
    while left:
        going = []
        for slot, others in left:
            other = next(others, None)
            if other is not None:
                going.append((slot, others))
                yield swapped(right, slot, other)
        left = going
    for answer in _apart(material.answers.near(sample.answer, sample), material.to[sample.prompt]):
        yield framed(form, answer)


def _apart(texts: Iterable[str], own: Sequence[str]) -> Iterator[str]:
    """Those of some texts that neither say one of one's own nor are said by it."""
    return (text for text in texts if not any(_one_says_the_other(text, other) for other in own))


def _is_sentence(answer: str) -> bool:
    return len(answer.split()) >= 4 and bool(VERBS.search(answer))


def _one_says_the_other(one: str, other: str) -> bool:
    """Whether one text has all words of the other in a row."""
    a, b = f" {_alike(one)} ", f" {_alike(other)} "
    return a in b or b in a


def _alike(text: str) -> str:
    """What two texts share that say the same."""
    return " ".join(re.findall(r"\w+", text.casefold()))
