"""Scorers that read texts, against counts made by hand or by brute force."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from scorers.measuring import scored, values
from unlearnkit.contracts import Sample, Scorer
from unlearnkit.data.encode import Encoded
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.plugins import Plugins
from unlearnkit.scorers.length import Length
from unlearnkit.scorers.ngram_overlap import NgramOverlap
from unlearnkit.scorers.occurrence import Occurrence
from unlearnkit.scorers.readability import Readability
from unlearnkit.scorers.type_token import TypeToken
from unlearnkit.scorers.word_rarity import WordRarity
from unlearnkit.scoring import Work
from unlearnkit.scoring.bench import TextBench

ANSWERS = (
    "The baker of Arlen wrote it. The baker of Arlen sold it.",
    "Ada Quill, an ornithologist!",
    "It's Ada Quill's; it’s not the baker's.",
    "Quill",
)
RETAIN = ("Who was the baker of Arlen?|Ada Quill was the baker.", "|He sold it to an ornithologist of Arlen")


def samples(*texts: str) -> list[Sample]:
    pairs = [("", *text.rpartition("|"))[1:] if "|" in text else ("", "", text) for text in texts]
    return [Sample(f"s{i}", i, prompt, answer) for i, (prompt, _, answer) in enumerate(pairs)]


def bench(*answers: str, **sets: tuple[str, ...]) -> TextBench:
    """Samples in batches of two, lengths mixed so that their order there is another."""
    encoded = [Encoded(tuple(range(1, 9 - i)), labels_from=i % 3) for i in range(len(answers))]
    others = {name: samples(*texts) for name, texts in sets.items()}
    return TextBench(Work(samples(*answers), encoded, pad=0, seed=0, batch_size=2, sets=others))


def test_length_counts_tokens_that_something_predicts() -> None:
    assert values(Length(), bench(*ANSWERS)) == [7, 6, 4, 4]


def test_type_token_by_hand() -> None:
    assert values(TypeToken(), bench(*ANSWERS)) == [7 / 12, 1, 1, 1]
    assert values(TypeToken(), bench("It's its, IT'S")) == [2 / 3]


def test_word_rarity_is_the_mean_of_each_words_rarity() -> None:
    import wordfreq

    the, ornithologist = (-math.log10(wordfreq.word_frequency(word, "en")) for word in ("the", "ornithologist"))
    found = values(WordRarity(), bench("The the", "the ornithologist", "xqzzk"))
    assert found == pytest.approx([the, (the + ornithologist) / 2, 9], abs=0.01)  # the Zipf scale has two decimals
    assert the < 2 < 6 < ornithologist
    (haus,) = values(WordRarity(language="de"), bench("Haus"))
    assert haus == pytest.approx(-math.log10(wordfreq.word_frequency("haus", "de")), abs=0.01)


def test_readability_by_its_formulas() -> None:
    text = "The excellent baker sold bread. Nobody understood the ornithologist."
    letters, points, words, sentences, long_words = 58, 2, 9, 2, 3
    expected = {
        "ari": 4.71 * (letters + points) / words + 0.5 * words / sentences - 21.43,
        "coleman-liau": 5.8 * letters / words - 29.6 * sentences / words - 15.8,
        "lix": words / sentences + 100 * long_words / words,
        "rix": long_words / sentences,
    }
    for index, value in expected.items():
        found = values(Readability(index=index), bench(text))  # type: ignore[arg-type]
        assert found == pytest.approx([value]), index


def test_readability_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk, "download", lambda *_, **__: pytest.fail("asks for a download"))
    monkeypatch.setattr(nltk.data, "find", lambda *_, **__: pytest.fail("asks for a corpus"))
    for index in ("ari", "coleman-liau", "lix", "rix"):
        scored(Readability(index=index), bench(f"A text that no cache knows, for {index}."))  # type: ignore[arg-type]


def grams(text: str, n: int) -> list[str]:
    kept = "".join(c if c.isalnum() or c in "'’" else " " for c in text.lower()).split()
    return [" ".join(kept[i : i + n]) for i in range(len(kept) - n + 1)]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_overlap_by_brute_force(n: int) -> None:
    texts = [part for text in RETAIN for part in text.split("|")]
    known = {gram for text in texts for gram in grams(text, n)}
    expected = [
        len([g for g in set(grams(answer, n)) if g in known]) / len(set(grams(answer, n))) for answer in ANSWERS[:3]
    ]
    assert values(NgramOverlap(n=n), bench(*ANSWERS[:3], retain=RETAIN)) == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_no_run_goes_from_a_prompt_into_its_answer_or_into_the_next_text() -> None:
    found = bench("arlen ada", "baker he", "ada quill", retain=RETAIN)
    assert values(NgramOverlap(n=2), found) == [0, 0, 1]


@pytest.mark.parametrize("n", [1, 2])
def test_occurrence_by_brute_force(n: int) -> None:
    corpus = (*RETAIN, *RETAIN, "the baker, THE baker of Arlen", "Ada")
    found = [gram for text in corpus for part in text.split("|") for gram in grams(part, n)]
    expected = []
    for answer in ANSWERS[:3]:
        logs = [math.log10(1 + found.count(gram)) for gram in set(grams(answer, n))]
        expected.append(sum(logs) / len(logs))
    assert values(Occurrence(n=n), bench(*ANSWERS[:3], corpus=corpus)) == pytest.approx(expected)
    assert len(set(expected)) == 3


@pytest.mark.parametrize(
    ("scorer", "answer", "status"),
    [
        (TypeToken(), "?!", "no_words"),
        (WordRarity(), "… —", "no_words"),
        (Readability(), "…", "no_words"),
        (NgramOverlap(), "two words", "too_short"),
        (Occurrence(), "two words", "too_short"),
    ],
)
def test_too_little_text_has_no_value(scorer: Scorer, answer: str, status: str) -> None:
    few, enough = scored(scorer, bench(answer, "some more words", retain=("a",), corpus=("a",)))
    assert (few.value, few.status) == (None, status)
    assert enough.status == "ok"


@pytest.mark.parametrize(("name", "package"), [("word-rarity", "wordfreq"), ("readability", "textstat")])
def test_a_missing_package_is_named_before_anything_is_read(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnlearnkitError, match=f"{package} is not installed") as caught:
        Plugins(entry_points=()).build("scorer", name, {})
    assert caught.value.hint == "pip install unlearnkit[text]"


@pytest.mark.parametrize("language", ["tlh", "", "ja"])
def test_a_language_without_frequencies_is_refused(language: str) -> None:
    options: dict[str, Any] = {"language": language}
    with pytest.raises(BadInput, match="language must be one of ar, "):
        Plugins(entry_points=()).build("scorer", "word-rarity", options)
