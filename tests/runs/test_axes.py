"""Combinations: which options come to which plugin, and what has none."""

from __future__ import annotations

import pytest

from unlearnkit.errors import BadInput
from unlearnkit.runs.axes import Axes


def test_options_are_combined_too():
    axes = Axes(("a", "b"), ("u",), (None, 1e-5), (0,), {"x": ["1", "2"], "y": ["3"]})
    labels = [choice.label for choice in axes.choices()]
    assert len(labels) == len(set(labels)) == 8
    assert labels[:2] == ["a, u, x=1, y=3", "a, u, x=2, y=3"] and labels[-1] == "b, u, lr 1e-05, x=2, y=3"


def test_an_option_of_one_comes_to_it_alone_and_stands_in_the_place_of_the_others():
    axes = Axes(("a", "a.b"), options={"x": ["1"], "a.x": ["2", "3"], "a.b.y": ["4"]})
    assert [(c.algorithm, c.options) for c in axes.choices()] == [
        ("a", {"x": "2"}), ("a", {"x": "3"}), ("a.b", {"x": "1", "y": "4"}),
    ]  # fmt: skip


def test_samplers_and_wrappers_have_options_of_their_own():
    axes = Axes(
        ("a",), ("u", "v"), wrappers=(None, "w"), options={"x": ["0"]},
        sampler_options={"v.s": ["1", "2"]}, wrapper_options={"r": ["3"]},
    )  # fmt: skip
    assert [choice.label for choice in axes.choices()] == [
        "a, u, x=0", "a, u, w r=3, x=0", "a, v s=1, x=0", "a, v s=2, x=0",
        "a, v s=1, w r=3, x=0", "a, v s=2, w r=3, x=0",
    ]  # fmt: skip
    assert [c.wrapper_options for c in axes.choices()[:2]] == [{}, {"r": "3"}]


@pytest.mark.parametrize(
    ("axes", "says", "hint"),
    [
        ({"options": {"pno.beta": ["1"]}}, '-o pno.beta: no algorithm "pno" in this sweep', 'did you mean "npo"?'),
        ({"sampler_options": {"mrd.draws": ["1"]}}, '-s mrd.draws: no sampler "mrd"', "there are: uniform"),
        ({"wrapper_options": {"rho": ["1"]}}, "-w gives an option of a wrapper, and none is named", "--wrapper NAME"),
        ({"wrappers": (None, "sam"), "wrapper_options": {"gru.gamma": ["1"]}}, 'no wrapper "gru"', "there are: sam"),
        ({"seeds": (1, 1)}, "--seed: a value stands twice", ""),
    ],
)
def test_what_nobody_can_be_meant_by(axes: dict[str, object], says: str, hint: str):
    with pytest.raises(BadInput) as caught:
        Axes(**axes)  # type: ignore[arg-type]
    assert says in caught.value.message and hint in (caught.value.hint or "")
