"""A benchmark's own rows: columns by name, options in a list, examples before."""

from __future__ import annotations

from typing import Any

import pytest

from unlearnkit.data.layout import Layout
from unlearnkit.data.samples import DataSpec, sample_id, samples_of
from unlearnkit.errors import UnlearnkitError

VERBATIM = Layout(prompt="{prompt}", answer="{gt}")
OPTIONS = Layout(prompt="{question}\n{choices}\nAnswer:", choices="choices", head="About ants.\n\n")
ANTS = {"question": " How many legs? ", "choices": ["four", "six", "eight"], "answer": 1}


def test_columns_are_read_by_the_names_that_a_layout_says():
    (sample,) = samples_of([{"prompt": "It was a", "gt": " dark night {prompt}"}], DataSpec("x"), VERBATIM).samples
    assert (sample.prompt, sample.answer) == ("It was a", " dark night {prompt}")
    assert sample.id == sample_id(sample.prompt, sample.answer)


def test_rows_without_its_columns_are_read_as_all_others():
    for rows in ([{"question": "Who?", "answer": "Ada."}], [{"text": "Ada."}]):
        assert samples_of(rows, DataSpec("x"), VERBATIM) == samples_of(rows, DataSpec("x"))


def test_columns_that_the_user_names_come_first():
    rows = [{"prompt": "p", "gt": "g", "q": "Who?", "a": "Ada."}]
    (sample,) = samples_of(rows, DataSpec("x", question_column="q", answer_column="a"), VERBATIM).samples
    assert (sample.prompt, sample.answer) == ("Who?", "Ada.")


def test_options_are_listed_with_letters():
    chosen = samples_of([ANTS], DataSpec("x"), OPTIONS)
    (sample,) = chosen.behind(OPTIONS.before()).samples
    assert sample.prompt == "About ants.\n\nHow many legs?\nA. four\nB. six\nC. eight\nAnswer:"
    assert (sample.answer, sample.wrong) == ("B", ("A", "C"))
    assert sample.id == sample_id(sample.prompt, "B")


def test_the_right_option_may_be_named_by_its_letter():
    rows = [ANTS, {**ANTS, "answer": "B"}]
    first, second = samples_of(rows, DataSpec("x"), OPTIONS).samples
    assert first.id == second.id and first.wrong == second.wrong


def test_examples_stand_between_the_head_and_the_question():
    other = {"question": "How many wings?", "choices": ["none", "two"], "answer": 0}
    examples = samples_of([other], DataSpec("x"), OPTIONS).samples
    (sample,) = samples_of([ANTS], DataSpec("x"), OPTIONS).behind(OPTIONS.before(examples)).samples
    assert sample.prompt == (
        "About ants.\n\nHow many wings?\nA. none\nB. two\nAnswer: A\n\n"
        "How many legs?\nA. four\nB. six\nC. eight\nAnswer:"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": "four"}, '"choices" is not a list'),
        ({"choices": ["four"]}, '"choices" is not a list of two'),
        ({"choices": ["four", 6]}, "an option"),
        ({"answer": 3}, '"answer" is neither'),
        ({"answer": -1}, '"answer" is neither'),
        ({"answer": True}, '"answer" is neither'),
        ({"answer": "AB"}, '"answer" is neither'),
        ({"answer": ""}, '"answer" is neither'),
        ({"question": None}, '"question" is not a text'),
    ],
)
def test_a_bad_row_is_named_or_left_out(change: dict[str, Any], said: str):
    rows = [ANTS, {**ANTS, **change}]
    with pytest.raises(UnlearnkitError, match="row 2") as caught:
        samples_of(rows, DataSpec("x"), OPTIONS)
    assert said in caught.value.message and caught.value.code == "type"
    kept = samples_of(rows, DataSpec("x", on_bad_row="skip"), OPTIONS)
    assert len(kept.samples) == 1 and kept.skipped == {1: "type"}


def test_options_are_needed_where_a_layout_has_them():
    with pytest.raises(UnlearnkitError, match="needed are the columns question, choices, answer") as caught:
        samples_of([{"question": "Who?", "answer": "Ada."}], DataSpec("x"), OPTIONS)
    assert caught.value.code == "column"
