"""Charts hold the store's numbers, can be told apart without colour, and become files without a browser."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import Answer
from filled import FORGET, KNOWN, SCORES, STEPS, Filled, fill, values

from unlearnkit.report.charts import Chart, Charts, charts
from unlearnkit.report.charts.chart import measure, slug, wide
from unlearnkit.report.charts.files import images
from unlearnkit.report.charts.frontier import _beats
from unlearnkit.report.charts.steps import thinned
from unlearnkit.report.collect import collect
from unlearnkit.report.subject import subject
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store, new_id
from unlearnkit.store.records import AggregateRow, ScoreRow

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def named(drawn: dict[str, Charts]) -> dict[str, Chart]:
    return {chart.name: chart for of in drawn.values() for chart in of.drawn}


def inside(spec: Any, key: str) -> Iterator[Any]:
    """Every value of a key, however deep."""
    if isinstance(spec, dict):
        yield from (value for name, value in spec.items() if name == key)
    if isinstance(spec, (dict, list)):
        for value in spec.values() if isinstance(spec, dict) else spec:
            yield from inside(value, key)


def rows_in(chart: Chart) -> list[list[dict[str, Any]]]:
    """All of a chart's data."""
    return [v for v in inside(chart.spec, "values") if v and isinstance(v[0], dict)]


def rows(chart: Chart) -> list[dict[str, Any]]:
    """The largest of a chart's data."""
    return max(rows_in(chart), key=len)


def test_what_is_drawn(named: dict[str, Chart]):
    assert set(named) == {
        "frontier-forget-probability-model-utility", "frontier-forget-rouge-retain-rouge",
        "unlearn-forget-nll", "unlearn-loss", "unlearn-forget", "unlearn-retain", "unlearn-lr",
        "finetune-loss", "finetune-lr", "on-the-way-u1", "on-the-way-u2",
        "difficulty-s1-ranked", "difficulty-s1-histogram", "difficulty-updates-1",
        "thirds-s1-probability", "thirds-s1-rouge", "attacks-probability", "attacks-rouge",
    }  # fmt: skip


def test_the_frontier_has_each_model_where_it_is(named: dict[str, Chart]):
    found = {row["mark"]: row for row in rows(named["frontier-forget-probability-model-utility"])}
    for mark, name, kind in (
        ("#1", "before", "before unlearning"), ("#2", "alone", "retain-only"), ("#3", "npo", "unlearned"),
        ("#4", "mrd", "unlearned"),
    ):  # fmt: skip
        mean = sum(values(name, "forget")) / len(FORGET)
        assert (found[mark]["x"], found[mark]["y"]) == pytest.approx((mean, KNOWN[name][1]))
        assert found[mark]["series"] == kind
        assert found[mark]["y_low"] < found[mark]["y"] < found[mark]["y_high"]


def test_what_is_beaten():
    better, worse, other = {"x": 0.1, "y": 0.9}, {"x": 0.2, "y": 0.9}, {"x": 0.05, "y": 0.5}
    assert _beats(better, worse) and not _beats(worse, better)
    assert not _beats(better, other) and not _beats(other, better) and not _beats(better, dict(better))


def test_difficulty_is_drawn_with_its_errors(named: dict[str, Chart]):
    ranked = rows(named["difficulty-s1-ranked"])
    assert [row["value"] for row in ranked] == pytest.approx(SCORES)
    assert [row["high"] - row["value"] for row in ranked] == pytest.approx(
        [v * (0.1 if v > 2 else 0.8) for v in SCORES]
    )
    assert [row["series"] == "clear" for row in ranked] == [v > 2 for v in SCORES]
    bars = rows(named["difficulty-s1-histogram"])
    last = bars[-1]["high"]
    for bar in bars:
        assert bar["n"] == sum(bar["low"] <= v < bar["high"] or v == last == bar["high"] for v in SCORES)


def test_updates_are_those_at_which_samples_went(named: dict[str, Chart], drawn: dict[str, Charts]):
    (why,) = drawn["difficulty"].left_out
    assert "U2 npo, mrd" in why and "come true" in why
    dots, alone = rows(named["difficulty-updates-1"]), values("alone", "forget")
    assert {dot["series"] for dot in dots} == {"U1 npo"}  # the other's order was drawn by the scores
    for i, sample in enumerate(FORGET):
        nll = {t: 0.1 + t * (24 - i) / 24 / 4 for t in range(0, STEPS + 1, 2)}
        expected = next((t for t, value in nll.items() if value >= -math.log(alone[i])), None)
        (dot,) = (d for d in dots if d["sample"] == sample[:12])
        assert dot["told"] == ("never" if expected is None else str(expected))
        assert dot["updates"] > STEPS if expected is None else dot["updates"] == expected


def test_series_are_told_apart_without_colour(named: dict[str, Chart]):
    for chart in named.values():
        colours = list(inside(chart.spec, "color"))
        hues = [c["scale"] for c in colours if isinstance(c, dict) and len(c["scale"]["domain"]) > 1]
        forms = [c["scale"] for key in ("shape", "strokeDash") for c in inside(chart.spec, key) if isinstance(c, dict)]
        for hue in hues:
            same = [form for form in forms if form["domain"] == hue["domain"]]
            assert same and all(len({str(r) for r in form["range"]}) == len(form["domain"]) for form in same), (
                chart.name
            )


def test_what_has_no_error_or_no_spread_is_drawn_without(tmp_path: Path):
    filled = fill(tmp_path / "unlearnkit.db")
    refs = [filled.runs[f"{name}-eval"] for name in ("before", "mrd", "alone")]
    with Store.open(filled.path) as store:
        like = store.run(filled.runs["scores"])
        for name, scores in (("loss", [2.5] * 23 + [None]), ("length", [3.0])):
            run, _ = store.begin(replace(like, id=new_id(), identity=name, method=name, state="created"))
            made = [ScoreRow(s, v, None, 1, "ok" if v else "no_target") for s, v in zip(FORGET, scores, strict=False)]
            store.put_scores(run.id, made)
            refs.append(store.finish(run.id, "complete").id)
        store.put_aggregates(filled.runs["mrd-eval"], [AggregateRow("model_utility", 0.8)])
    with Workplace(Settings(store=str(filled.path))) as place:
        drawn = charts(subject(place, collect(place, refs), refs))
        named = {chart.name: chart for of in drawn.values() for chart in of.drawn}
        assert len(list(images(drawn, "svg"))) == len(named)
    assert len(rows_of := rows_in(named["difficulty-s2-ranked"])) == 1 and len(rows_of[0]) == 23  # no layer of errors
    assert sum(bar["n"] for bar in rows(named["difficulty-s2-histogram"])) == 23
    whiskers = [
        layer for layer in named["frontier-forget-probability-model-utility"].spec["layer"]
        if layer["encoding"].get("y", {}).get("field") == "y_low"
    ]  # fmt: skip
    assert len(whiskers) == 1 and "0.8" not in {str(row["y"]) for row in next(inside(whiskers, "values"))}


def test_names_are_for_files():
    assert slug("../a b/Ü\x00</c>") == "a-b-c"


@pytest.mark.parametrize(("numbers", "ratios"), [([1, 1000], True), ([0, 1000], False), ([1, 50], False), ([], False)])
def test_ratios_are_for_what_is_wide_apart(numbers: list[float], ratios: bool):
    import altair as alt

    assert wide(numbers) == ratios
    assert (measure(alt.X, "x", "x", numbers).to_dict()["scale"].get("type") == "log") == ratios


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100, 1001])
def test_thinning_keeps_ends_and_order(n: int):
    found = thinned(list(range(n)), 7)
    assert len(found) == min(n, 7) == len(set(found)) and found == sorted(found)
    assert not n or (found[0], found[-1]) == (0, n - 1)


def test_svgs_have_marks_and_say_what_their_axes_are(drawn: dict[str, Charts]):
    for name, content in images(drawn, "svg"):
        tree = ElementTree.fromstring(content())
        texts = ["".join(t.itertext()) for t in tree.iter(f"{SVG}text")]
        marks = [g for g in tree.iter(f"{SVG}g") if "role-mark" in g.get("class", "") and list(g)]
        titles = [g for g in tree.iter(f"{SVG}g") if "role-axis-title" in g.get("class", "")]
        assert marks and texts, name
        assert len(titles) == (1 if name.startswith("attacks") else 2), name


def test_charts_become_files(cli: Callable[..., Answer], filled: Filled):
    options = ("report", filled.runs["scores"], "--store", filled.path)
    found = cli(*options, "--png", "a/png", "--svg", "svg")
    assert found.code == 0 and not found.out
    pngs, svgs = sorted(Path("a/png").iterdir()), sorted(Path("svg").iterdir())
    assert [p.stem for p in pngs] == [p.stem for p in svgs] and len(pngs) == 2
    assert found.err.count("wrote ") == len(pngs) + len(svgs)
    for png, svg in zip(pngs, svgs, strict=True):
        head = png.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        size = ElementTree.fromstring(svg.read_bytes()).attrib
        assert struct.unpack(">II", head[16:]) == (2 * int(size["width"]), 2 * int(size["height"]))
    again = cli(*options, "--png", "a/png", "--format", "json")
    assert (again.code, again.error["code"]) == (2, "exists")
