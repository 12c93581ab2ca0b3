"""From rows to samples: identity by content, columns, bad rows, overlap."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec, SampleSet, check_overlap, load_samples, sample_id, spec_of
from unlearnkit.errors import BadInput, UnlearnkitError


def load(rows: list[dict[str, Any]], **spec: Any) -> SampleSet:
    return load_samples(DataSpec("given", **spec), external=lambda source, split: rows)


def refused(rows: list[dict[str, Any]], **spec: Any) -> UnlearnkitError:
    with pytest.raises(UnlearnkitError) as caught:
        load(rows, **spec)
    return caught.value


def pair(question: Any, answer: Any, **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, **more}


# ------------------------------------------------------------------------------------------------------------ identity


def test_an_id_is_the_hash_of_the_pair():
    assert sample_id("q", "ä") == hashlib.sha256('["q","ä"]'.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("", "ab"), ("a", "b")),
        (("q", "a"), ("q", "a ")),
        (("q", "A"), ("q", "a")),
        (("q", "é"), ("q", "e\u0301")),  # NFC and NFD
        (('","', ""), ("", '","')),
    ],
)
def test_nothing_is_folded_into_one(one: tuple[str, str], other: tuple[str, str]):
    assert sample_id(*one) != sample_id(*other)


def test_a_pair_is_the_same_sample_in_any_file(tmp_path: Path, forget_file: Path):
    rows = [json.loads(line) for line in forget_file.read_text().splitlines()]
    (tmp_path / "other.csv").write_text("answer,question\n" + "".join(f"{r['answer']},{r['question']}\n" for r in rows))
    here, there = (load_samples(DataSpec(str(path))) for path in (forget_file, tmp_path / "other.csv"))
    assert [s.id for s in here.samples] == [s.id for s in there.samples]
    assert here.fingerprint == there.fingerprint
    assert here.extras_fingerprint != there.extras_fingerprint


def test_a_sets_fingerprint_knows_order_and_every_answer():
    rows = [pair("q", "a"), pair("r", "b")]
    first = load(rows)
    assert load(rows[::-1]).fingerprint != first.fingerprint
    more = load([pair("q", "a", perturbed_answer=["x"]), rows[1]])
    assert more.fingerprint == first.fingerprint
    assert more.extras_fingerprint != first.extras_fingerprint


def test_duplicates_are_counted_and_each_is_kept_at_its_first_position():
    found = load([pair("q", "a"), pair("r", "b"), pair("q", "a"), pair("q", "a")])
    assert found.duplicates == 2
    assert [s.position for s in found.unique().samples] == [0, 1]
    assert found.unique().duplicates == 0


# ------------------------------------------------------------------------------------------------------------- columns


def test_columns_by_name():
    (sample,) = load([{"Q": "ask", "A": "tell", "answer": "no"}], question_column="Q", answer_column="A").samples
    assert (sample.prompt, sample.answer) == ("ask", "tell")


@pytest.mark.parametrize("spec", [{}, {"text_column": "text"}])
def test_plain_text_has_an_empty_prompt(spec: dict[str, str]):
    (sample,) = load([{"text": "Once upon a time", "note": 1}], **spec).samples
    assert (sample.prompt, sample.answer) == ("", "Once upon a time")


def test_a_question_and_answer_come_before_text():
    (sample,) = load([{**pair("q", "a"), "text": "t"}]).samples
    assert sample.prompt == "q"


def test_text_goes_without_a_pair():
    assert isinstance(refused([{"text": "t"}], text_column="text", answer_column="a"), BadInput)


def test_a_missing_column_names_those_that_are_there():
    error = refused([{"question": "q", "response": "r"}])
    assert error.message == 'given: no column "answer"; columns: question, response'
    assert error.hint == "--answer-column response"


def test_a_mistyped_column_is_taken_for_the_nearest():
    error = refused([{"person": "p", "question": "q", "answer": "a", "note": "n"}], answer_column="answr")
    assert error.hint == "--answer-column answer"


def test_other_answers_are_one_text_or_many():
    one, many, none = load(
        [
            pair("q", "a", paraphrased_answer="p", perturbed_answer=["x", "y"]),
            pair("q", "b", paraphrased_answer=["p", "q"], perturbed_answer="x"),
            pair("q", "c", paraphrased_answer=None),
        ]
    ).samples
    assert (one.paraphrases, one.wrong) == (("p",), ("x", "y"))
    assert (many.paraphrases, many.wrong) == (("p", "q"), ("x",))
    assert (none.paraphrases, none.wrong) == ((), ())


def test_other_wordings_of_a_question_are_one_text_or_many():
    found = load([pair("q", "a", paraphrased_question="p"), pair("q", "b", paraphrased_question=["p", "r"])]).samples
    assert [sample.questions for sample in found] == [("p",), ("p", "r")]
    assert load([pair("q", "a")]).samples[0].id == found[0].id, "a sample is its question and answer"


# ------------------------------------------------------------------------------------------------------------ bad rows

BAD = [
    (pair("q", None), "type", '"answer" is null'),
    ({"question": "q"}, "type", '"answer" is null'),
    (pair(None, "a"), "type", '"question" is null'),
    (pair("q", 1.5), "type", '"answer" is a number, not a text'),
    (pair("q", True), "type", '"answer" is true or false, not a text'),
    (pair("q", ["a"]), "type", '"answer" is a list, not a text'),
    (pair("q", {"a": 1}), "type", '"answer" is an object, not a text'),
    (pair("q", b"a"), "type", '"answer" is bytes, not a text'),
    (pair("q", " \n"), "no-target", '"answer" is empty'),
    (pair("q", "a\0"), "encoding", '"answer" has a NUL character'),
    (pair("q", "a", perturbed_answer=["x", 3]), "type", '"perturbed_answer" is neither a text nor a list of texts'),
    (pair("q", "a", paraphrased_question=3), "type", '"paraphrased_question" is neither a text nor a list of texts'),
    (pair("q", "a", paraphrased_answer=" "), "type", '"paraphrased_answer" is neither a text nor a list of texts'),
]


@pytest.mark.parametrize(("row", "code", "said"), BAD)
def test_a_bad_row_fails_the_whole_and_is_named(row: dict[str, Any], code: str, said: str):
    error = refused([pair("q", "a"), row])
    assert error.code == code
    assert error.message == f"given: row 2: {said}"


def test_bad_rows_left_out_are_remembered_with_their_reasons():
    found = load([row for row, _, _ in BAD] + [pair("q", "fine")], on_bad_row="skip")
    assert [s.answer for s in found.samples] == ["fine"]
    assert found.samples[0].position == len(BAD)
    assert found.skipped == {i: code.replace("-", "_") for i, (_, code, _) in enumerate(BAD)}


def test_ten_bad_rows_are_shown_and_the_rest_counted():
    message = refused([pair("q", None)] * 13 + [pair("q", "a")]).message
    assert message.count("is null") == 10
    assert message.endswith("; and 3 more")


def test_all_rows_bad_is_an_empty_set():
    assert refused([pair("q", None)], on_bad_row="skip").code == "empty"


# ------------------------------------------------------------------------------------------------------------- overlap


def test_overlap_is_by_content_and_names_rows():
    forget = load([pair("q", "a"), pair("r", "b"), pair("s", "c")])
    with pytest.raises(UnlearnkitError, match=r"2 samples are in both given and given: forget rows 1, 3$") as caught:
        check_overlap(forget, load([pair("s", "c"), pair("q", "a"), pair("q", "other")]))
    assert caught.value.code == "overlap"
    check_overlap(forget, load([pair("q", "b"), pair("r", "a")]))


def test_one_name_may_have_a_split(tmp_path: Path):
    assert spec_of("org/name:config[test]") == DataSpec("org/name:config", "test")
    assert spec_of("a.jsonl", on_bad_row="skip") == DataSpec("a.jsonl", on_bad_row="skip")
    odd = tmp_path / "a[1]"
    odd.touch()
    assert spec_of(str(odd)) == DataSpec(str(odd))
    assert spec_of("a[1].jsonl") == DataSpec("a[1].jsonl")
