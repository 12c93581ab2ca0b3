"""Conditions: what may be typed, and what looks come to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.errors import BadInput
from unlearnkit.runs.conditions import Best, Condition, Goals, parse, parse_all


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("forget.nll>=3", Condition("forget.nll", ">=", 3.0)),
        (" retain.nll <= 1.2x ", Condition("retain.nll", "<=", 1.2, relative=True)),
        ("model_utility>.5", Condition("model_utility", ">", 0.5)),
        ("forget.probability<1e-3", Condition("forget.probability", "<", 0.001)),
    ],
)
def test_a_condition_is_a_name_a_comparison_and_a_number(text: str, found: Condition):
    assert parse("--until", text) == found
    assert parse("--until", str(found)) == found


@pytest.mark.parametrize("text", ["forget.probability<<1", "forget.probability<=1_0"])
def test_what_may_be_is_shown_by_examples_that_may(text: str):
    """Of numbers as they are, none is in times of a start."""
    with pytest.raises(BadInput) as absolute:
        parse_all("--assert", text)
    with pytest.raises(BadInput) as relative:
        parse("--until", text)
    shown = [re.findall("'(.*?)'", str(caught.value.hint)) for caught in (absolute, relative)]
    assert all(parse_all("--assert", example) for example in shown[0])
    assert any(parse("--until", example).relative for example in shown[1])
    assert len(shown[0]) == len(shown[1]) == 2


@pytest.mark.parametrize(
    "text",
    ["", "forget.nll", "forget.nll=3", "forget.nll==3", "forget.nll>=", ">=3", "forget.nll>=1_0", "forget.nll>=nan",
     "forget.nll>=inf", "forget.nll>=3xx", "forget.nll>=3 4", "forget.nll>=１", "1<forget.nll<3", "forget.nll>=x"],
)  # fmt: skip
def test_anything_else_is_refused(text: str):
    with pytest.raises(BadInput) as caught:
        parse("--keep", text)
    assert caught.value.code == "condition" and caught.value.message.startswith("--keep")


def test_what_does_not_exist_holds_nothing():
    for op in (">=", "<=", ">", "<"):
        assert not Condition("a", op, 1.0).holds(None, 1.0)
        assert not Condition("a", op, 1.0, relative=True).holds(1.0, None)


VALUES = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0, 3.0]))


@given(
    looks=st.dictionaries(st.integers(1, 9), st.fixed_dictionaries({"f": VALUES, "r": VALUES}), max_size=6),
    start=st.fixed_dictionaries({"f": VALUES, "r": st.sampled_from([1.0, 2.0])}),
    relative=st.booleans(),
    best=st.sampled_from([None, Best("f", True), Best("f", False)]),
)
def test_the_verdict_is_what_reading_look_by_look_finds(looks, start, relative, best):
    """Against a plain walk: stop at the first look that fails or reaches, remember the last and the best before."""
    looks = {0: start, **looks}
    goals = Goals([Condition("f", ">=", 3.0)], [Condition("r", "<=", 2.0 / start["r"], True)] if relative else [
        Condition("r", "<=", 2.0)], best)  # fmt: skip
    ended, last, found = None, None, {}
    for step in sorted(looks):
        f, r = looks[step]["f"], looks[step]["r"]
        if r is None or r > 2.0 + 1e-9:
            ended = "keep"
            break
        last = step
        if step > 0 and f is not None:
            found[step] = f
        if f is not None and f >= 3:
            ended = "until"
            break
    verdict = goals.judge(looks)
    assert (verdict.ended or "none").split()[0] == (ended or "none")
    expected = last
    if best is not None and found:
        value = max(found.values()) if best.higher else min(found.values())
        expected = min(step for step, f in found.items() if f == value)
    assert verdict.step == expected


def test_without_a_keep_or_a_best_the_last_weights_are_the_model():
    verdict = Goals([Condition("f", ">", 1.0)]).judge({0: {"f": 0.0}, 2: {"f": 1.5}})
    assert (verdict.ended, verdict.step) == ("until f>1: 1.5", None)


def test_what_was_not_looked_at_ends_nothing_and_vouches_for_nothing():
    goals = Goals([], [Condition("u", ">=", 0.5), Condition("r", "<=", 2.0)])
    looks = {0: {"r": 1.0, "u": 0.9}, 2: {"r": 1.5}, 4: {"r": 1.6, "u": 0.6}, 6: {"r": 1.7}}
    assert goals.judge(looks).step == 4 and goals.judge(looks).ended is None
