"""Other answers by rule: right ones stay right, wrong ones are wrong, and the same every time."""

from __future__ import annotations

import random
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from unlearnkit.contracts import Sample
from unlearnkit.data.made import WRONG, completed, framed, paraphrase, slots, swapped
from unlearnkit.data.samples import DataSpec, SampleSet, load_samples, sample_id

PAIRS = (
    ("When was Ada Quill born?", "Ada Quill was born in 1931."),
    ("When was Bo Tarn born?", "Bo Tarn was born in 1948."),
    ("Where does Cleo Marsh live?", "She lives in Brimsea."),
    ("Where does Dov Ember live?", "He lives in Arlen."),
    ("How many books did Edda Flint write?", "Edda Flint wrote 17 books."),
    ("What is Faro Lund?", "A baker"),
    ("What is Gita Holm?", "A ship's surveyor"),
)


def sets(*pairs: tuple[str, str]) -> SampleSet:
    return SampleSet("made", tuple(Sample(sample_id(q, a), i, q, a) for i, (q, a) in enumerate(pairs)), {})


@pytest.fixture
def bare(tofu: Path) -> SampleSet:
    """Forty real samples, without the paraphrases and wrong answers that they come with."""
    chosen = load_samples(DataSpec("tofu:forget01"), tofu_dir=tofu)
    return replace(chosen, samples=tuple(replace(s, paraphrases=(), wrong=()) for s in chosen.samples))


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def test_every_sample_gets_other_answers_and_stays_itself(bare: SampleSet):
    made = completed(bare)
    assert made.made == {"paraphrases": 40, "wrong": 40}
    assert made.fingerprint == bare.fingerprint
    assert made.extras_fingerprint != bare.extras_fingerprint
    assert all(len(s.paraphrases) == 1 and len(s.wrong) == WRONG for s in made.samples)


def test_no_wrong_answer_says_what_the_right_one_says(bare: SampleSet):
    for chosen in (bare, sets(*PAIRS)):
        for sample in completed(chosen).samples:
            right = [words(text) for text in (sample.answer, *sample.paraphrases)]
            wrong = [words(text) for text in sample.wrong]
            assert not any(text in right for text in wrong)
            assert len({tuple(text) for text in wrong}) == len(wrong)


def test_a_paraphrase_has_all_that_the_answer_says(bare: SampleSet):
    for sample in bare.samples:
        assert " ".join(words(paraphrase(sample))).endswith(" ".join(words(sample.answer)))
        assert paraphrase(sample) != sample.answer


def test_a_swap_changes_its_slot_alone():
    text = 'On 3 May 1931, Cleo Marsh of Arlen wrote 17 plays such as "The Long Way", all in the 1950s.'
    found = {slot.kind: slot for slot in slots(text, "Who was Cleo Marsh?")}
    assert {kind: slot.text for kind, slot in found.items()} == {
        "date": "3 May 1931",
        "number": "17",
        "title": "The Long Way",
        "decade": "1950s",
        "name": "Cleo Marsh of Arlen",
    }
    for slot in found.values():
        other = swapped(text, slot, "OTHER")
        assert other.replace("OTHER", slot.text, 1) == text
        assert other.index("OTHER") == slot.start


def test_what_the_question_says_is_no_slot():
    assert [slot.text for slot in slots("It is so that Ada Quill met Bo Tarn.", "Whom did Ada Quill meet?")] == [
        "Bo Tarn"
    ]


def test_a_slot_is_filled_by_its_kind():
    made = {sample.prompt: sample for sample in completed(sets(*PAIRS)).samples}
    born = made["When was Ada Quill born?"]
    assert born.wrong[0] == born.paraphrases[0].replace("1931", "1948")
    lives = made["Where does Cleo Marsh live?"]
    assert lives.paraphrases[0].replace("Brimsea", "Arlen") in lives.wrong


def test_where_nothing_can_be_swapped_another_answer_stands_in_in_the_same_frame():
    made = {sample.prompt: sample for sample in completed(sets(*PAIRS)).samples}
    (right,), wrong = made["What is Faro Lund?"].paraphrases, made["What is Faro Lund?"].wrong
    frame = right.replace("a baker", "{}")
    assert framed(frame, "A ship's surveyor") in wrong
    assert all(text.startswith(frame.replace("{}", "")) for text in wrong)


def test_the_order_of_the_rows_does_not_matter(bare: SampleSet):
    mixed = list(bare.samples)
    random.Random(7).shuffle(mixed)
    found = {s.id: (s.paraphrases, s.wrong) for s in completed(replace(bare, samples=tuple(mixed))).samples}
    assert found == {s.id: (s.paraphrases, s.wrong) for s in completed(bare).samples}


def test_what_the_data_say_stays():
    (first, *rest) = sets(*PAIRS).samples
    own = replace(first, wrong=("Ada Quill was born in 1900.",))
    told = replace(rest[0], paraphrases=("Bo Tarn is of 1948.",))
    made = completed(SampleSet("made", (own, told, *rest[1:]), {}))
    assert made.samples[0] == own, "a made paraphrase would be of another form than the wrong answers"
    assert made.samples[1].paraphrases == told.paraphrases
    assert made.samples[1].wrong[0].startswith("Bo Tarn is of 19")
    assert made.made == {"paraphrases": len(PAIRS) - 2, "wrong": len(PAIRS) - 1}


def test_nothing_is_made_of_texts_or_of_one_sample():
    texts = sets(("", "Ada Quill was born in 1931."), ("", "Bo Tarn was born in 1948."))
    assert completed(texts).samples == texts.samples
    assert completed(sets(PAIRS[0])).made == {"paraphrases": 0, "wrong": 0}


def test_most_wrong_answers_keep_the_form_of_the_right_one(bare: SampleSet):
    """A swap leaves more of the text as it is than another sample's answer does."""
    shares = [
        SequenceMatcher(None, words(sample.paraphrases[0]), words(sample.wrong[0])).ratio()
        for sample in completed(bare).samples
    ]
    assert sorted(shares)[len(shares) // 2] > 0.8
