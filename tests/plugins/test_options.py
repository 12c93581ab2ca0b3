"""Options: what may be typed, what is said when it may not, and what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.contracts import Sampler
from unlearnkit.errors import BadInput
from unlearnkit.hookspecs import hookimpl
from unlearnkit.options import option
from unlearnkit.plugins import OptionInfo, Plugins, options_of


@dataclass(frozen=True)
class Choosy(Sampler):
    """Has an option of every type.

    And a second paragraph.
    """

    sigma: float = option(1e-3, "width", gt=0)
    share: float = option(0.5, "share", ge=0, lt=1)
    draws: int = option(8, "draws", ge=1, le=1_000_000)
    shuffle: bool = option(False, "shuffle")
    mode: Literal["up", "down"] = option("up", "direction")
    label: str = option("x", "name")
    limit: float | None = option(None, "limit")
    width: float | Literal["auto"] = option("auto", "width or auto")
    layers: tuple[int, ...] = option((), "layers", ge=0)
    plain: float = 1

    def order(self, n, scores, epoch, rng):
        raise NotImplementedError


@dataclass(frozen=True)
class Demanding(Sampler):
    eps: float

    def __post_init__(self) -> None:
        if self.eps == 13:
            raise ValueError("eps brings bad luck")

    def order(self, n, scores, epoch, rng):
        raise NotImplementedError


class Offering:
    @hookimpl
    def register_samplers(self):
        return {"choosy": Choosy, "demanding": Demanding}


FOUND = Plugins(entry_points=(), extra=[Offering()])


def build(**options: object) -> Choosy:
    return FOUND.build("sampler", "choosy", options)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sigma", "1e-3", 1e-3),
        ("sigma", "+.5E1", 5.0),
        ("sigma", "2", 2.0),
        ("share", "0", 0.0),
        ("draws", "1000000", 1_000_000),
        ("draws", "007", 7),
        ("shuffle", "true", True),
        ("shuffle", "false", False),
        ("mode", "down", "down"),
        ("label", "", ""),
        ("label", "1_0,nan", "1_0,nan"),
        ("limit", "none", None),
        ("limit", "0.5", 0.5),
        ("width", "auto", "auto"),
        ("width", "0.5", 0.5),
        ("layers", "", ()),
        ("layers", "3", (3,)),
        ("layers", "3, 5,7", (3, 5, 7)),
        ("plain", "-4", -4.0),
    ],
)
def test_text_is_read_by_type(name: str, text: str, value: object):
    read = getattr(build(**{name: text}), name)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        *(
            ("sigma", text, "a finite number > 0")
            for text in ("nan", "inf", "-inf", "0", "-1", "1e-400", "1e400", "1_0", "１２", "1,5", "x", "0x1")
        ),
        *(("share", text, "a finite number ≥ 0 and < 1") for text in ("1", "-0.1", " 0.5", "0.5 ", "1e", ".")),
        *(
            ("draws", text, "a whole number ≥ 1 and ≤ 1000000")
            for text in ("0", "-3", "1e3", "1.0", "9" * 20, "9" * 5000, "٣", "true")
        ),
        *(("shuffle", text, "true or false") for text in ("yes", "True", "1", "")),
        ("mode", "UP", "one of up, down"),
        ("limit", "null", "a finite number or none"),
        ("width", "aut", "a finite number or auto"),
        *(
            ("layers", text, "a whole number ≥ 0, or several separated by commas")
            for text in ("1,", "1;2", "1,-2", "a")
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str, expected: str):
    with pytest.raises(BadInput) as caught:
        build(**{name: text})
    assert caught.value.message == f"-s {name} must be {expected}, got {text or repr(text)}"
    assert (caught.value.code, caught.value.exit_code) == ("option", 2)


@pytest.mark.parametrize("text", ["1_0", "１２", "1,5"])
def test_the_hint_says_how_numbers_are_written(text: str):
    with pytest.raises(BadInput) as caught:
        build(sigma=text)
    assert "is not a plain decimal number" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("width", "aut", "auto"),
        ("mode", "don", "down"),
        ("mode", "UP", None),
        ("shuffle", "flase", "false"),
        ("limit", "non", "none"),
        ("width", "wide", None),
        ("sigma", "1x", None),
    ],
)
def test_a_misspelt_word_suggests_the_one_that_was_meant(name: str, text: str, meant: str | None):
    with pytest.raises(BadInput) as caught:
        build(**{name: text})
    assert (caught.value.hint == f'did you mean "{meant}"?') == (meant is not None)
    assert ("did you mean" in caught.value.hint) == (meant is not None)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_as_python_writes_it(number: float):
    assert build(plain=repr(number)).plain == number


@given(st.text(max_size=6))
def test_no_text_but_a_plain_decimal_is_a_number(text: str):
    try:
        value = build(plain=text).plain
    except BadInput:
        return
    assert text.isascii()
    assert set(text) <= set("0123456789+-.eE")
    assert value == float(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma", float("nan")),
        ("sigma", float("inf")),
        ("sigma", True),
        ("sigma", 0),
        ("draws", 8.5),
        ("draws", True),
        ("shuffle", 1),
        ("layers", [1, "2"]),
        ("layers", [-1]),
        ("label", 3),
        ("label", None),
        ("label", object()),
    ],
)
def test_values_from_python_are_held_to_the_same(name: str, value: object):
    with pytest.raises(BadInput, match=f"-s {name} must be"):
        build(**{name: value})


def test_an_unknown_option_suggests_the_nearest():
    with pytest.raises(BadInput) as caught:
        FOUND.build("algorithm", "npo", {"bta": "0.2"})
    assert caught.value.message == 'algorithm "npo" has no option "bta"'
    assert caught.value.hint == 'did you mean "beta"?'


def test_an_unknown_option_far_from_all_lists_them():
    with pytest.raises(BadInput) as caught:
        FOUND.build("algorithm", "npo", {"zzz": "1"})
    assert caught.value.hint == "its options: gamma, alpha, retain, beta"
    with pytest.raises(BadInput) as caught:
        FOUND.build("algorithm", "ga", {"zzz": "1"})
    assert caught.value.hint == "it takes none"


def test_an_option_without_default_must_be_given():
    with pytest.raises(BadInput, match="needs -s eps=…: a finite number"):
        FOUND.build("sampler", "demanding", {})
    assert FOUND.build("sampler", "demanding", {"eps": "2"}).eps == 2


def test_a_plugin_may_refuse_its_own_options():
    with pytest.raises(BadInput, match="brings bad luck"):
        FOUND.build("sampler", "demanding", {"eps": "13"})


def test_equal_options_have_one_stored_form():
    as_text = build(sigma="1", layers="2,3", limit="4")
    as_values = build(sigma=1, layers=[2, 3], limit=4)
    assert options_of(as_text) == options_of(as_values)
    stored = options_of(Choosy())
    assert stored == {
        "sigma": 1e-3,
        "share": 0.5,
        "draws": 8,
        "shuffle": False,
        "mode": "up",
        "label": "x",
        "limit": None,
        "width": "auto",
        "layers": [],
        "plain": 1.0,
    }
    assert isinstance(stored["plain"], float)
    assert build(**stored) == Choosy()


def test_description_is_the_docstring_and_the_fields():
    described = FOUND.describe("sampler", "choosy")
    assert (described.summary, described.details) == ("Has an option of every type.", "And a second paragraph.")
    assert described.options[0] == OptionInfo("sigma", "a finite number > 0", 1e-3, "width")
    assert described.options[4] == OptionInfo("mode", "one of up, down", "up", "direction")
    assert FOUND.describe("algorithm", "npo").source == "arXiv 2404.05868"
    undocumented = FOUND.describe("sampler", "demanding")
    assert undocumented.summary == ""
    assert undocumented.options == [OptionInfo("eps", "a finite number", None, "", required=True)]
