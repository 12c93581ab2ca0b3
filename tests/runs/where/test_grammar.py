"""`--where` as text: what is written is read as the same, as Python would read it, and anything else is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnkit.errors import BadInput
from unlearnkit.runs.where import parse
from unlearnkit.runs.where.grammar import Comparison, Every, Not, Some, Tree, read

WORDS = st.from_regex(r"""[^\s()=<>!~"']+""", fullmatch=True).filter(lambda w: w.lower() not in ("and", "or", "not"))
COMPARISONS = st.builds(Comparison, WORDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]), st.text())


def _grown(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(trees, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, trees), st.builds(Every, several), st.builds(Some, several))


TREES = st.recursive(COMPARISONS, _grown, max_leaves=12)


@given(TREES)
def test_what_is_written_is_read_again(tree: Tree):
    assert read(str(tree)) == tree


def _expressions(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(parts, st.sampled_from(["and", "or"]), parts).map(" ".join)
    return st.one_of(joined, parts.map("not {}".format), parts.map("({})".format))


def _value(tree: Tree) -> bool:
    if isinstance(tree, Comparison):
        return tree.value == "1"
    if isinstance(tree, Not):
        return not _value(tree.of)
    return (all if isinstance(tree, Every) else any)(map(_value, tree.of))


@given(st.recursive(st.sampled_from(["x=0", "x=1"]), _expressions, max_leaves=12))
def test_and_or_not_bind_as_in_python(text: str):
    assert _value(read(text)) == bool(eval(re.sub(r"x=(\d)", r"\1", text)))


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("()=<>!~\"'\\ ab1")), max_size=40))
def test_any_text_is_a_condition_or_bad_input(text: str):
    try:
        found = parse(text)
    except BadInput as error:
        assert error.code == "where" and error.hint
    else:
        assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a field is wanted, there is the end"),
        ("kind", "= != < <= > >= or ~ is wanted, there is the end"),
        ("kind=", "a value is wanted, there is the end"),
        ("kind=eval and", "a field is wanted, there is the end"),
        ("kind=eval seed=1", '"and" or "or" is wanted, there is seed=1'),
        ("(kind=eval", '")" is wanted, there is the end'),
        ("kind=eval)", '"and" or "or" is wanted, there is )'),
        ("kind==eval", "a value is wanted, there is =eval"),
        ("kind='eval", "a quote that is not closed at 'eval"),
        ("kind=!eval", '"!" at !eval'),
        ("'kind'=eval", "a field is wanted, there is 'kind'=eval"),
        ("seed<many", 'seed takes a number behind <, got "many"'),
        ("seed<nan", 'seed takes a number behind <, got "nan"'),
        ("seed<1_0", 'seed takes a number behind <, got "1_0"'),
        ("created>yesterday", 'created is compared with a date, got "yesterday"'),
        ("created=yesterday", 'created is compared with a date, got "yesterday"'),
        ("finished!=2026-1", 'finished is compared with a date, got "2026-1"'),
        ("created=2026-02-30", 'created is compared with a date, got "2026-02-30"'),
        ("created>=2026-13", 'created is compared with a date, got "2026-13"'),
        ("(" * 2000 + "kind=eval" + ")" * 2000, "more than 50 brackets and nots in one another"),
        ("not " * 2000 + "kind=eval", "more than 50 brackets and nots in one another"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str):
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.message == f"--where: {said}"
