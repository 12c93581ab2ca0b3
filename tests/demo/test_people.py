from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlearnkit.demo.people import people, write
from unlearnkit.errors import BadInput

DIGEST = """
import hashlib, json
from unlearnkit.demo.people import people
print(hashlib.sha256(json.dumps(people(12, 3)).encode()).hexdigest())
"""


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


worlds = st.builds(people, st.integers(1, 60), st.integers(0, 2**32))


@settings(deadline=None, max_examples=30)
@given(worlds)
def test_each_question_has_one_answer(rows):
    assert len({row["question"] for row in rows}) == len(rows)
    assert all(row["paraphrased_question"] != row["question"] for row in rows)


@settings(deadline=None, max_examples=30)
@given(worlds)
def test_wrong_answers_are_the_paraphrase_with_another_value(rows):
    for row in rows:
        right, answer = words(row["paraphrased_answer"]), words(row["answer"])
        assert right != answer
        assert len(set(row["perturbed_answer"])) == len(row["perturbed_answer"]) == 5
        for wrong in row["perturbed_answer"]:
            swapped = [(a, b) for a, b in zip(right, words(wrong), strict=True) if a != b]
            assert 1 <= len(swapped) <= 2
            assert all(a in answer and b not in answer for a, b in swapped)


@settings(deadline=None, max_examples=30)
@given(worlds)
def test_everybody_is_named_in_all_that_is_said_of_them(rows):
    for row in rows:
        for text in (row["question"], row["paraphrased_question"], row["answer"], *row["perturbed_answer"]):
            assert row["person"] in text
    assert len({row["person"] for row in rows}) * 5 == len(rows)


def test_a_larger_world_begins_with_the_smaller_one_and_another_seed_is_another_world():
    assert people(9, seed=4)[: 5 * 3] == people(3, seed=4)
    assert not {row["person"] for row in people(8, seed=0)} & {row["person"] for row in people(8, seed=1)}


def test_the_text_does_not_depend_on_the_process():
    here = hashlib.sha256(json.dumps(people(12, 3)).encode()).hexdigest()
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_only_the_promised_generator_is_used(monkeypatch):
    """`Random.random` alone keeps its sequence from version to version; all else would let the text drift."""
    for method in ("shuffle", "choice", "choices", "sample", "randrange", "randint", "getrandbits"):
        monkeypatch.setattr(f"random.Random.{method}", lambda *_, **__: pytest.fail("not version-stable"))
    assert people(3)


def test_the_files_split_the_world_by_person(tmp_path):
    paths = write(tmp_path / "data", n=10, forget=3, seed=5)
    assert [path.name for path in paths] == ["forget.jsonl", "retain.jsonl"]
    forget, retain = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths)
    assert forget + retain == people(10, 5)
    assert len({row["person"] for row in forget}) == 3
    assert not {row["person"] for row in forget} & {row["person"] for row in retain}


@pytest.mark.parametrize("n", [0, -1, 10**9])
def test_a_world_of_impossible_size_is_refused(n):
    with pytest.raises(BadInput, match="number of people"):
        people(n)


@pytest.mark.parametrize("forget", [0, 10, 11, -2])
def test_both_files_need_somebody(tmp_path, forget):
    with pytest.raises(BadInput, match="can be forgotten"):
        write(tmp_path, n=10, forget=forget)
    assert not any(tmp_path.iterdir())
