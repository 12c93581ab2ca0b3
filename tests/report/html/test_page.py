"""A page says what the store holds, asks for nothing, and nothing that a store holds can act in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer
from filled import EVIL, FORGET, KNOWN, QUESTIONS, TURNED, Filled, fill, values

import unlearnkit
from unlearnkit.report.html.page import SECTIONS
from unlearnkit.store import Store, new_id

from .reading import Element, parse, specs, table


@pytest.fixture(scope="package")
def page(written: str) -> Element:
    return parse(written)


def test_sections_stand_in_order_and_links_lead_somewhere(page: Element):
    assert [s.attributes["id"] for s in page.all("section")] == list(SECTIONS)
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = {a.attributes["href"] for a in page.all("a")}
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)


def test_it_asks_for_nothing(page: Element):
    (policy,) = (m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inline,) = (e for e in page.all(tag) if e.attributes.get("type") != "application/json")
        digest = base64.b64encode(hashlib.sha256(inline.text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    loads = {"src", "srcset", "data", "action", "formaction", "poster", "style", "onload", "onerror", "onclick"}
    assert not any(loads & e.attributes.keys() for e in page.all())
    assert not page.all("link") and not page.all("img") and not page.all("base")


def test_hostile_text_is_text(page: Element, written: str):
    body = written.partition("<body>")[2]
    assert not any(c in body for c in "\u202e\x1b")
    shown = page.text
    assert EVIL in shown and "\\u202e" in shown
    tags = {e.tag for e in page.all()}
    assert not tags & {"img", "iframe", "object", "svg"} and len(page.all("b")) == 1  # the theme's name
    data = page.one("script", id="data").text
    assert not any(c in data for c in "<>&\u2028\u2029")
    assert any("script>" in str(spec) for spec in specs(page).values())


def test_the_metric_table_is_the_stores_rows(page: Element, filled: Filled):
    heads, *rows = table(page, "Every number of")
    found = {row[0].split("\n")[0]: row[1:] for row in rows}
    order = ("before", "alone", "npo", "mrd")
    assert [head.split("\n")[0] for head in heads] == ["number", "better", "#1", "#2", "#3", "#4", "retain-only"]
    with sqlite3.connect(filled.path) as db:
        for at, name in enumerate(order):
            query = "SELECT value FROM v_results WHERE run = ? AND split = 'forget' AND metric = 'probability'"
            stored = [value for (value,) in db.execute(query, [filled.runs[f"{name}-eval"]])]
            cell = found["forget.probability"][1 + at]
            assert cell.startswith(f"{np.mean(stored):.3f}\n") and cell.endswith("n 24")
    assert found["forget.probability"][0] == "↓ lower" and found["model_utility"][0] == "↑ higher"
    assert found["model_utility"][4] == f"{KNOWN['mrd'][1]:.3f}\n0.750 … 0.850 · n 6"
    assert found["forget.truth_ratio"][1] == "–\nthe data have no wrong answers"
    assert found["forget_quality"][3:5] == ["1.0e-07\nn 24", "0.060\nn 24"]
    assert found["forget.probability"][5] == f"{np.mean(values('alone', 'forget')):.3f}"


def test_samples_stand_before_and_after(page: Element):
    rows = table(page, "#4 npo, mrd")[1:]
    assert [row[0] for row in rows] == [sample[:8] for sample in FORGET]  # as their scores rise
    before, after = values("before", "forget"), values("mrd", "forget")
    assert [row[3] for row in rows] == [f"{b:.3f} → {a:.3f}" for b, a in zip(before, after, strict=True)]
    assert [row[2] for row in rows] == ["hard"] * 8 + ["middle"] * 8 + ["easy"] * 8
    assert rows[0][5].startswith(QUESTIONS[0]) and "says <b>this</b>" in rows[0][7]
    assert "שלום" in rows[1][5]


def test_thirds_and_attacks_are_means_of_rows(page: Element):
    rows = table(page, "By third, ranked by S1 mrd")[1:]
    mrd = np.array(values("mrd", "forget"))
    means = {row[1]: row[4] for row in rows if row[0] == "forget.probability"}
    for i, third in enumerate(("hard", "middle", "easy")):
        assert means[third] == f"{mrd[8 * i : 8 * i + 8].mean():.3f}\nn 8"
    (row,) = (r for r in table(page, "Forgotten, and what comes back")[1:] if r[1] == "probability")
    worst = np.minimum(1, 2.5 * mrd)
    assert row[3:6] == ["24", f"{mrd.mean():.3f}", f"{worst.mean():.3f}"]
    assert row[7] == f"{np.mean(worst - mrd >= (1 - mrd) / 2):.0%}"


def test_every_number_is_defined(page: Element):
    names = {a.text for a in page.one("section", id="numbers").all("a")}
    defined = {dt.text for dt in page.one("section", id="glossary").all("dt")}
    assert {name.rpartition(".")[2] for name in names} == defined
    text = page.one("div", id="def-model-utility").text
    assert "Harmonic mean" in text and "higher is better" in text


def test_cards_say_what_was_done(page: Element, filled: Filled):
    card = page.one("article", id=f"run-{filled.runs['mrd']}")
    facts = {div.one("dt").text: div.one("dd") for div in card.all("div")}
    assert facts["length"].text == "20 steps, ended by epochs" and facts["weights kept"].text == "of step 16"
    assert facts["beta"].text == "0.1" and facts["forget set"].text == "forget.jsonl, 24 samples"
    assert facts["tags"].text == "paper" and facts["note"].text == f"kept {EVIL}"
    assert facts["SHA-256, model"].attributes["title"] == "1" * 64
    assert filled.runs["failed"] not in page.text  # a report of all is about what is complete


def test_a_named_run_that_failed_says_why(filled: Filled, tmp_path: Path):
    path = unlearnkit.report_html(tmp_path / "one.html", [filled.runs["failed"]], store=filled.path)
    card = parse(path.read_text("utf-8")).one("article", id=f"run-{filled.runs['failed']}")
    assert "diverged" in card.one("span", **{"class": "state bad"}).text
    assert f"loss nan {EVIL}" in card.one("p", **{"class": "fault"}).text


def test_commands_are_quoted_for_a_shell(page: Element):
    lines = [shlex.split(code.text) for code in page.one("section", id="again").all("code")]
    assert {"score", "unlearn", "eval", "attack"} <= {line[1] for line in lines}
    for first, _, option, _, *rest in lines:
        assert [first, option, *rest] == ["unlearnkit", "--model", "--note", "it's; rm -rf ~"]


def test_it_says_nothing_of_where_the_user_keeps_things(tmp_path: Path):
    """Every path that a store may have, and a store's address, as one who mails a page would not like to see them."""
    store = fill(tmp_path / "s.db").path
    words = ["unlearnkit", "score", "--store", "postgresql://me:hunter2@db/lab", "--model", "home/jane/m"]
    with sqlite3.connect(store) as db:
        db.execute("UPDATE model SET source = '/home/jane/m'")
        db.execute("UPDATE dataset SET label = '/home/jane/d.jsonl[train]'")
        db.execute("UPDATE run SET argv = ?", [json.dumps([*words, "--template=~/jane/t.txt"])])
        for place in ("$.model_dir", "$.label"):
            db.execute("UPDATE run SET summary = json_replace(summary, ?, '/home/jane/m')", [place])
    written = unlearnkit.report_html(tmp_path / "r.html", text=True, store=store).read_text("utf-8")
    assert "hunter2" not in written and "jane" not in written
    assert "unlearnkit score --model m --template=t.txt" in parse(written).one("section", id="again").text


def test_texts_are_shown_where_they_are_kept_and_asked_for(filled: Filled, tmp_path: Path):
    quiet = unlearnkit.report_html(tmp_path / "quiet.html", store=filled.path).read_text("utf-8")
    assert "Who is number 3?" not in quiet and "--text shows those" in quiet
    without = fill(tmp_path / "no-text.db", texts=False)
    empty = unlearnkit.report_html(tmp_path / "empty.html", text=True, store=without.path).read_text("utf-8")
    assert "The store holds no texts" in empty and TURNED.split()[-1] not in empty


def test_what_there_is_no_data_for_is_said(tmp_path: Path):
    Store.open(tmp_path / "empty.db").close()
    page = parse(unlearnkit.report_html(tmp_path / "e.html", store=tmp_path / "empty.db").read_text("utf-8"))
    assert not page.all("figure") and not page.all("table")
    for section in ("runs", "frontier", "steps", "difficulty", "thirds", "numbers", "attacks", "samples"):
        assert page.one("section", id=section).all("p", **{"class": "absent"}), section


# --------------------------------------------------------------------------------------------------- the command line

Cli = Callable[..., Answer]


def test_a_verdict_is_on_the_page_and_in_the_exit_code(cli: Cli, filled: Filled):
    asked = "model_utility>0.7 and forget_quality>0.05"
    found = cli("report", filled.runs["npo"], "--store", filled.path, "--html", "r.html", "--assert", asked)
    assert found.code == 4 and "wrote r.html" in found.err
    page = parse(Path("r.html").read_text("utf-8"))
    assert "2 of 2 asserted conditions missed" in page.one("section", id="about").text
    rows = table(page, "What was asserted")[1:]
    assert [(row[0], row[2]) for row in rows] == [("model_utility>0.7", "✗ no"), ("forget_quality>0.05", "✗ no")]


def test_files_are_not_replaced_unasked(cli: Cli, filled: Filled):
    Path("r.html").write_text("mine")
    Path("charts").mkdir()
    refused = cli("report", "--store", filled.path, "--html", "r.html", "--format", "json")
    assert (refused.code, refused.error["code"]) == (2, "exists") and Path("r.html").read_text() == "mine"
    assert cli("report", "--store", filled.path, "--html", "r.html", "--force").code == 0
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in Path().iterdir()) == ["charts", "r.html"]
    folder = cli("report", "--store", filled.path, "--html", "charts", "--format", "json")
    assert (folder.code, folder.error["code"]) == (2, "value")


def test_a_bad_place_is_told_before_the_store_is_read(cli: Cli):
    Path("file").write_text("")
    for option, place in (("--html", "file/r.html"), ("--png", "file/charts"), ("--svg", "file")):
        found = cli("report", "--store", "none.db", option, place, "--format", "json")
        assert (found.code, found.error["code"]) == (1, "write"), option
        assert re.search(r"cannot write into file(/charts)?: \S*file is a file", found.error["message"]), option


def test_a_page_of_all_is_about_the_newest(filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unlearnkit.report.html.NEWEST", 1)
    page = parse(unlearnkit.report_html(tmp_path / "newest.html", store=filled.path).read_text("utf-8"))
    assert "Left out, as they are older: 1 unlearning run, 2 evaluations." in page.one("section", id="about").text
    heads = table(page, "Every number of")[0]
    assert [head.split("\n")[1] for head in heads[2:4]] == ["npo, mrd </script><scri…", "alone"]  # and its reference
    named = unlearnkit.report_html(tmp_path / "named.html", list(filled.runs.values()), store=filled.path)
    assert "Left out" not in named.read_text("utf-8").partition("<body>")[2].partition("<script")[0]


def test_a_page_of_the_newest_counts_all_of_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unlearnkit.report.html.NEWEST", 7)
    filled = fill(tmp_path / "unlearnkit.db")
    with Store.open(filled.path) as store:
        for name in ("scores", "mrd"):
            like = store.run(filled.runs[name])
            for i in range(8):
                made = replace(like, id=new_id(), identity=f"{name} {i}", state="created", beat=None)
                store.finish(store.begin(made)[0].id, "complete", summary=like.summary)
        held = Counter(run.kind for run in store.runs(state="complete") if run.config.get("request"))
    page = parse(unlearnkit.report_html(tmp_path / "newest.html", store=filled.path).read_text("utf-8"))
    about = page.one("section", id="about").text
    shown = {words: int(n) for n, words in re.findall(r"(\d+) (score|unlearning) runs", about.partition("Left out")[0])}
    left = {words: int(n) for n, words in re.findall(r"(\d+) (score|unlearning) run", about.partition("Left out")[2])}
    assert shown["score"] + left["score"] == held["score"] > 8 and shown["score"] == 7
    assert shown["unlearning"] + left["unlearning"] == held["unlearn"] > 8 and shown["unlearning"] >= 7
    assert f"Of {held['score']} score runs the newest 6 are drawn" in page.one("section", id="difficulty").text
    assert f"Of {held['unlearn']} unlearning runs the newest 6 are drawn" in page.one("section", id="steps").text
