from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Probe, Sample, Undefined
from unlearnkit.metrics.rouge import Rouge

from .probes import samples

words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh"]), min_size=1, max_size=8)


def rouge(answer: str, said: str, **options) -> float | Undefined:
    return Rouge(**options).measure(Probe(samples(answer), generation=[said]))[0]


def test_what_was_not_asked_was_not_answered():
    text = Sample("a", 0, "", "ab cd")
    said = [Probe([of], generation=["ab"]) for of in (text, replace(text, lead="ab"))]
    assert [Rouge().measure(probe)[0] for probe in said] == [Undefined("no_prompt"), 0.5]


def common_subsequence(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    @cache
    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        if a[i] == b[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return longest(0, 0)


@given(words, words)
def test_recall_and_f1_by_their_definitions(answer, said):
    target, text = " ".join(answer), " ".join(said)
    for variant, common in (
        ("rougeL", common_subsequence(tuple(answer), tuple(said))),
        ("rouge1", sum((Counter(answer) & Counter(said)).values())),
    ):
        recall, f1 = common / len(answer), 2 * common / (len(answer) + len(said))
        assert rouge(target, text, variant=variant) == pytest.approx(recall)
        assert rouge(target, text, variant=variant, score="f1") == pytest.approx(f1)


def test_the_stemmer_joins_forms_of_a_word():
    assert rouge("she writes novels", "She writing novel.") == pytest.approx(1)
    assert rouge("she writes novels", "She writing novel.", stemmer=False) == pytest.approx(1 / 3)


def test_saying_nothing_is_no_overlap():
    assert rouge("she writes novels", "") == 0
    assert rouge("she writes novels", " \n") == 0


@pytest.mark.parametrize("answer", ["", "—", "東京"])
def test_an_answer_without_words_has_no_rouge(answer):
    assert rouge(answer, "anything") == Undefined("no_target")
