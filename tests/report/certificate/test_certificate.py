"""A certificate says what was measured and no more, shows a later change, and gives no text away."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Answer, pairs

import unlearnkit
from report.conftest import HOSTILE, Lab
from unlearnkit.errors import UnlearnkitError
from unlearnkit.hookspecs import hookimpl
from unlearnkit.plugins import Plugins
from unlearnkit.report.certificate import digest, issue, page, verify
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.store import Store

Cli = Callable[..., Answer]


@pytest.fixture
def place(lab: Lab) -> Iterator[Workplace]:
    with Workplace(Settings(store=str(lab.store), threads=1)) as made:
        yield made


@pytest.fixture
def document(place: Workplace, lab: Lab) -> dict[str, Any]:
    return issue(place, lab.unlearned["mrd"], request="request 7", signed_by="A. Officer").json()


def rows_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["metrics"]}


# ------------------------------------------------------------------------------------------------------- what it says


def test_its_numbers_are_those_of_the_evaluations(document: dict[str, Any], lab: Lab):
    """Means over the values that the store has, by hand."""
    with Store.open(lab.store, readonly=True) as store:
        for when, run in (("before", lab.evaluated["before"]), ("after", lab.evaluated["mrd"])):
            values = [r.value for r in store.results(run) if (r.split, r.metric) == ("forget", "probability")]
            told = rows_of(document)["forget.probability"][when]
            assert (told["value"], told["n"]) == (pytest.approx(sum(values) / len(values)), 8)
            assert told["low"] <= told["value"] <= told["high"]
        scores = store.scores(lab.scored)
        after = {r.sample: r.value for r in store.results(lab.evaluated["mrd"])
                 if (r.split, r.metric) == ("forget", "probability")}  # fmt: skip
    assert document["samples"]["metric"] == "probability"
    for row in document["samples"]["rows"]:
        score = scores[row["sample"]]
        assert (row["difficulty"], row["stderr"], row["after"]) == (score.value, score.stderr, after[row["sample"]])


def test_the_worst_attack_is_the_highest_probability_under_any_condition(document: dict[str, Any], lab: Lab):
    with Store.open(lab.store, readonly=True) as store:
        under: dict[str, list[float]] = {}
        for row in store.results(lab.attacked):
            if row.split.startswith("forget@") and row.metric == "probability":
                under.setdefault(row.sample, []).append(row.value)
    told = {row["sample"]: (row["worst"], row["worst_attack"]) for row in document["samples"]["rows"]}
    assert told == {sample: (max(values), "relearn") for sample, values in under.items()}
    absent = {row["what"] for row in document["absent"]}
    assert {"attack quantize", "attack paraphrase", "attack sample"} <= absent and "attack relearn" not in absent


@pytest.fixture
def again(cli: Cli, lab: Lab, retain_file: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The certificate after another evaluation of the model."""
    store = shutil.copy(lab.store, tmp_path / "again.db")

    def again(*words: Any, run: str = lab.unlearned["mrd"], retain: bool = True) -> dict[str, Any]:
        more = ("--retain", retain_file) if retain else ()
        asked = ("--forget", lab.forget, *more, "--store", store, "--max-new-tokens", 4)
        assert cli("eval", run, *asked, *words).code == 0
        found = cli("certificate", "issue", lab.unlearned["mrd"], "--store", store, "--format", "json").json
        return {**found, "absent": {row["what"]: row["why"] for row in found["absent"]}}

    return again


def test_what_retain_only_gets_stands_beside(again: Callable[..., dict[str, Any]], twin_model_dir: Path):
    """The reference is a twin of the model before: it gets what that got."""
    found = again("--reference", twin_model_dir)
    for row in found["metrics"]:
        if "." in row["name"]:
            assert row["retain_only"] == row["before"]["value"], row["name"]
    quality = rows_of(found)["forget_quality"]
    assert quality["reference"] == found["evaluations"][0]["reference"] is not None


def test_the_model_before_is_no_reference(document: dict[str, Any], lab: Lab):
    (one,) = document["evaluations"]
    assert (one["before"], one["reference"]) == (lab.evaluated["before"], None)
    assert {row["retain_only"] for row in document["metrics"]} == {None}
    assert "forget_quality" not in rows_of(document)
    absent = {row["what"]: row["why"] for row in document["absent"]}
    assert "the model before" in absent[f"forget_quality (tofu) against {lab.evaluated['before']}"]
    assert "a reference in the tofu evaluation" in absent
    assert any("No model that never saw the samples" in said for said in document["not_proven"])


def test_the_evaluation_with_the_most_splits_counts_and_then_the_newest(again: Callable[..., dict[str, Any]], lab: Lab):
    found = again("--template", "plain", retain=False)
    assert [one["run"] for one in found["evaluations"]] == [lab.evaluated["mrd"]]
    assert rows_of(found)["retain.probability"]["after"]["value"] is not None
    (one,) = again("--template", "plain")["evaluations"]
    assert one["run"] != lab.evaluated["mrd"], "as many splits, and newer"


def test_weights_are_read_again(place: Workplace, lab: Lab, tmp_path: Path):
    run = place.store.run(lab.unlearned["uniform"])
    folder = Path(run.summary["model_dir"])
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert issue(place, run.id, model=str(moved)).json()["models"]["after"]["fingerprint"] == run.summary["model"]
    weights = moved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1  # a bit of one weight
    weights.write_bytes(data)
    with pytest.raises(UnlearnkitError, match="does not hold the model") as found:
        issue(place, run.id, model=str(moved))
    assert found.value.code == "changed"


def test_what_is_not_there_is_said(place: Workplace, lab: Lab):
    with Workplace(place.settings) as other:
        bare = issue(other, lab.unlearned["uniform"]).json()
    assert not bare["attacks"] and {row["worst"] for row in bare["samples"]["rows"]} == {None}
    absent = {row["what"] for row in bare["absent"]}
    assert {"attack relearn", "attack quantize", "attack paraphrase", "attack sample"} <= absent
    undefined = [row for row in bare["metrics"] if row["after"]["value"] is None]
    assert all(row["after"]["reason"] and f"{row['name']} (tofu)" in absent for row in undefined)
    assert any("not deletion" in said for said in bare["not_proven"])
    assert not [word for word in ("proven to", "guarantee", "erased") if word in json.dumps(bare["not_proven"])]


def test_a_run_that_nobody_evaluated_is_certified_as_such(cli: Cli, tiny_model_dir: Path, forget_file: Path):
    words = ("unlearn", "--model", tiny_model_dir, "--forget", forget_file, "--plugin", "ga", "--max-steps", 1)
    assert cli(*words, "--lr", "1e-4").code == 0
    found = cli("certificate", "issue", "@last", "--format", "json").json
    absent = {row["what"] for row in found["absent"]}
    assert {"an evaluation of the model", "the samples' difficulty", "a retain set"} <= absent
    assert (found["metrics"], found["evaluations"], found["samples"]["metric"]) == ([], [], None)
    assert any("whether anything is forgotten is not known" in said for said in found["not_proven"])
    shown = cli("certificate", "@last")
    assert shown.code == 0 and "not deletion" in " ".join(shown.out.split())
    assert shown.out.index("not proven") < shown.out.index("absent") < shown.out.index("asked to forget")


def test_an_evaluation_of_other_samples_does_not_count(cli: Cli, tiny_model_dir: Path, forget_file, retain_file):
    words = ("unlearn", "--model", tiny_model_dir, "--forget", forget_file, "--plugin", "ga", "--max-steps", 1)
    made = cli(*words, "--lr", "1e-4", "--format", "json").json["run"]
    assert cli("eval", made, "--forget", retain_file, "--max-new-tokens", 2).code == 0
    found = cli("certificate", "issue", made, "--format", "json").json
    assert found["evaluations"] == [] and "an evaluation of the model" in {row["what"] for row in found["absent"]}


OWN = "about: tofu as it was once\nsplits:\n  forget: {metrics: [extraction_strength]}\n  retain: {metrics: [rouge]}\n"


@pytest.mark.parametrize(
    "otherwise",
    [
        ("--max-new-tokens", 4, "--template", "plain"),
        ("--max-new-tokens", 1),
        ("--max-new-tokens", 4, "--suite", "o.yaml"),
    ],
    ids=["template", "length", "suite"],
)
def test_before_is_what_was_asked_the_same_however_old(
    cli: Cli, lab: Lab, retain_file: Path, tmp_path: Path, otherwise: tuple[Any, ...]
):
    """Another evaluation since is none: neither in a certificate nor on a page."""
    store = shutil.copy(lab.store, tmp_path / "copy.db")
    before = samples_on_page(tmp_path / "before.html", store)
    Path("o.yaml").write_text(OWN)
    words = ("eval", lab.model, "--forget", lab.forget, "--retain", retain_file, "--store", store)
    made = cli(*words, *otherwise, "--format", "json").json["run"]
    assert made not in lab.evaluated.values()
    with sqlite3.connect(store) as db:
        db.execute("UPDATE run SET method = 'tofu' WHERE id = ?", [made])
    found = cli("certificate", "issue", lab.unlearned["mrd"], "--store", store, "--format", "json").json
    assert [one["before"] for one in found["evaluations"]] == [lab.evaluated["before"]]
    assert samples_on_page(tmp_path / "after.html", store) == before and " → " in before


def samples_on_page(file: Path, store: Path) -> str:
    """What a page says of samples before and after."""
    written = unlearnkit.report_html(file, store=store).read_text("utf-8")
    return written.partition('<section id="samples">')[2].partition("</section>")[0]


def test_what_was_held_against_another_is_not_compared(
    again: Callable[..., dict[str, Any]], lab: Lab, twin_model_dir: Path
):
    """Before against one retain-only model, after against another: two numbers of two scales."""
    told = []
    for run, reference in (
        (lab.unlearned["mrd"], lab.unlearned["uniform"]),
        (str(lab.model), twin_model_dir),
        (str(lab.model), lab.unlearned["uniform"]),
    ):
        told.append(rows_of(again("--reference", reference, run=run))["forget_quality"])
    for row in told[:2]:
        assert (row["before"]["value"], row["before"]["reason"]) == (None, "not_measured")
        assert row["after"]["value"] is not None
    assert told[2]["before"]["value"] is not None
    assert {row["reference"] for row in told} == {lab.evaluated["uniform"]}


# ------------------------------------------------------------------------------------------------- what it gives away


def test_no_text_and_no_folder_is_in_it(document: dict[str, Any], lab: Lab):
    written = json.dumps(document, ensure_ascii=False) + page(document)
    texts = [text for row in pairs("Ada Quill", "Bo Tarn", "Cleo Marsh", HOSTILE) for text in row.values()]
    flat = [one for text in texts for one in ([text] if isinstance(text, str) else text)]
    for leaked in (*flat, "Ada Quill", str(lab.store.parent), str(Path.home()) + "/"):
        assert leaked not in written, leaked


def test_it_says_the_same_from_any_folder(
    cli: Cli, tiny_model_dir: Path, forget_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    (here / "customer").mkdir(parents=True)
    elsewhere.mkdir()
    shutil.copy(forget_file, here / "customer/forget.jsonl")
    monkeypatch.chdir(here)
    words = ["unlearn", "--model", str(tiny_model_dir), "--forget", "customer/forget.jsonl", "--plugin", "ga"]
    words += ["--max-steps", "1", "--lr", "1e-4", "--out", "customer/out", "--store", str(tmp_path / "s.db")]
    monkeypatch.setattr("sys.argv", ["unlearnkit", *words])
    run = cli(*words, "--format", "json").json["run"]
    at = ("--store", tmp_path / "s.db")
    assert cli("certificate", run, *at, "--json", tmp_path / "c.json").code == 0
    monkeypatch.chdir(elsewhere)
    assert cli("certificate", "verify", tmp_path / "c.json", *at).code == 0
    assert cli("certificate", run, *at, "--json", tmp_path / "again.json").code == 0
    for name in ("c.json", "again.json"):
        text = (tmp_path / name).read_text()
        assert "--forget forget.jsonl" in text and "customer" not in text and str(tmp_path) not in text


class Reading(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(value: Any, text: str) -> Any:
    """A document with another text in the place of every text."""
    if isinstance(value, dict):
        return {key: hostile(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, text) for item in value]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\" onload='x' {{ 7919 * 7 }} {% raw %}", "</style><img src=x>", HOSTILE]
)
def test_a_hostile_text_stays_text(document: dict[str, Any], text: str):
    plain, told = Reading(), Reading()
    plain.feed(page(document))
    told.feed(made := page(hostile(document, text)))
    assert told.tags == plain.tags and told.attributes == plain.attributes
    assert not plain.tags & {"script", "img", "iframe", "link", "object", "form", "a"}
    assert not {name for name in plain.attributes if name.startswith("on")} and "src" not in plain.attributes
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", made)
    assert "55433" not in told.text  # the product
    assert "://" not in made


# ------------------------------------------------------------------------------------------------------ that it holds


def test_the_digest_is_that_of_any_program(document: dict[str, Any]):
    body = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert document["digest"]["value"] == hashlib.sha256(text.encode()).hexdigest() == digest(document)


def checked(place: Workplace, file: Path, document: Any) -> dict[str, bool | None]:
    file.write_text(json.dumps(document))
    return {check.what: check.ok for check in verify(place, file)}


def test_a_change_shows(place: Workplace, document: dict[str, Any], tmp_path: Path):
    file = tmp_path / "certificate.json"
    assert set(checked(place, file, document).values()) == {True}
    forged = json.loads(json.dumps(document))
    forged["metrics"][0]["after"]["value"] /= 2
    found = checked(place, file, forged)
    assert (found["digest"], found["metrics"], found["samples"]) == (False, False, True)
    forged["digest"]["value"] = digest(forged)  # by someone who knows how
    found = checked(place, file, forged)
    assert (found["digest"], found["metrics"]) == (True, False), "the store knows better"
    signed = {**document, "signed_by": "B. Other"}
    assert checked(place, file, signed)["digest"] is False


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("models", lambda d: d["models"]["after"].update(fingerprint="0")),
        ("models", lambda d: d["models"]["before"].update(fingerprint="f" * 64)),
        ("models", lambda d: d["models"]["before"].update(source="another")),
        ("absent", lambda d: d.update(absent=[])),
        ("absent", lambda d: d["absent"].pop()),
        ("not_proven", lambda d: d.update(not_proven=[])),
        ("not_proven", lambda d: d["not_proven"].pop(0)),
        ("samples", lambda d: d.pop("samples")),
        ("proven", lambda d: d.update(proven="all of it")),
    ],
)
def test_no_part_can_be_forged(
    place: Workplace, document: dict[str, Any], tmp_path: Path, section: str, change: Callable[[Any], object]
):
    """By someone who computes the digest anew."""
    forged = json.loads(json.dumps(document))
    change(forged)
    forged["digest"]["value"] = digest(forged)
    found = checked(place, tmp_path / "certificate.json", forged)
    assert [what for what, ok in found.items() if not ok] == [section]


def test_what_else_is_installed_is_no_difference(place: Workplace, document: dict[str, Any], tmp_path: Path):
    @hookimpl
    def register_attacks() -> dict[str, type]:
        return {"another": type(place.plugins.build("attack", "sample", {}))}

    place.plugins = Plugins(entry_points=(), extra=[SimpleNamespace(register_attacks=register_attacks)])
    assert "another" in place.plugins.offers("attack")
    assert set(checked(place, tmp_path / "certificate.json", document).values()) == {True}


def test_a_model_that_moved_is_the_same(place: Workplace, document: dict[str, Any], tmp_path: Path):
    moved = shutil.copytree(place.store.run(document["run"]["id"]).summary["model_dir"], tmp_path / "moved")
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(document))
    assert {check.ok for check in verify(place, file, model=str(moved))} == {True}


def test_without_store_and_model_the_digest_is_checked_alone(document: dict[str, Any], tmp_path: Path):
    with Workplace(Settings(store=str(tmp_path / "none.db"))) as elsewhere:
        found = checked(elsewhere, tmp_path / "certificate.json", document)
    assert found == {"digest": True, "store and model": None} and not (tmp_path / "none.db").exists()


def test_an_attack_since_makes_it_out_of_date(cli: Cli, lab: Lab, tmp_path: Path):
    store = shutil.copy(lab.store, tmp_path / "copy.db")
    words = ("certificate", lab.unlearned["uniform"], "--store", store, "--out", "certificate")
    assert cli(*words).code == 0
    assert cli("certificate", "verify", "certificate/certificate.json", "--store", store).code == 0
    attack = ("attack", "quantize", lab.unlearned["uniform"], "--forget", lab.forget, "--metrics", "probability")
    assert cli(*attack, "--store", store).code == 0
    found = cli("certificate", "verify", "certificate/certificate.json", "--store", store, "--format", "json")
    told = {check["what"]: check["ok"] for check in json.loads(found.out)["checks"]}
    assert (found.code, found.error["code"]) == (1, "certificate")
    assert (told["digest"], told["attacks"], told["samples"], told["metrics"]) == (True, False, False, True)


HEAD = '{"kind": "unlearnkit.certificate", "version": 1, "run": {"seconds": '


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"kind": "else"}',
        '{"kind": "unlearnkit.certificate", "version": 99}',
        '{"kind": NaN}',
        "[" * 9999,
        f"{HEAD}1e999}}}}",
        f"{HEAD}-1e999}}}}",
        f"{HEAD}1{'0' * 400}}}}}",
        f"{HEAD}1{'0' * 5000}}}}}",
    ],
    ids=range(11),
)
def test_what_is_no_certificate_is_told_as_such(cli: Cli, text: str):
    Path("x.json").write_text(text)
    found = cli("certificate", "verify", "x.json", "--format", "json")
    assert (found.code, found.error["code"], found.out) == (2, "certificate", "")


def test_a_certificate_of_odd_parts_is_wrong_and_no_crash(place: Workplace, document: dict[str, Any], tmp_path: Path):
    for key in document:
        if key in ("kind", "version"):
            continue
        for odd in (7, {"id": [None]}):
            found = checked(place, tmp_path / "odd.json", {**document, key: odd})
            assert found["digest"] is False
    named = {**document, "run": {**document["run"], "id": "@last"}}
    assert checked(place, tmp_path / "odd.json", named)["store and model"] is None, "no run by another name"


# ------------------------------------------------------------------------------------------------------------ commands


def test_exit_codes(cli: Cli, lab: Lab):
    at = ("--store", lab.store, "--format", "json")
    assert cli("certificate", "01ZZZZZZZZ", *at).code == 3
    assert cli("certificate", lab.scored, *at).code == 2
    assert cli("certificate", lab.unlearned["mrd"], "--model", "gone", *at).code == 3
    assert cli("certificate", "verify", "gone.json", *at).code == 3
    assert cli("certificate", lab.unlearned["mrd"], "--store", "none.db").code == 3


def test_files_are_written_once(cli: Cli, lab: Lab):
    words = ("certificate", lab.unlearned["mrd"], "--store", lab.store, "--html", "a.html", "--json", "sub/a.json")
    assert cli(*words, "--for", "request <7>").code == 0
    assert "request &lt;7&gt;" in Path("a.html").read_text()
    kept = Path("sub/a.json").read_text()
    again = cli(*words, "--for", "another", "--format", "json")
    assert (again.code, again.error["code"], Path("sub/a.json").read_text()) == (2, "exists", kept)
    assert cli(*words, "--for", "another", "--force").code == 0
    assert json.loads(Path("sub/a.json").read_text())["request"] == "another"


def test_an_incomplete_run_has_none(place: Workplace, lab: Lab, tmp_path: Path):
    store = shutil.copy(lab.store, tmp_path / "copy.db")
    with Workplace(replace(place.settings, store=str(store))) as other:
        other.store.finish(lab.unlearned["mrd"], "failed", error_code="interrupted", error="stopped by a signal")
        with pytest.raises(Exception, match="has no model: it is interrupted"):
            issue(other, lab.unlearned["mrd"])


def test_it_can_be_had_from_python(lab: Lab):
    found = unlearnkit.certificate(lab.unlearned["mrd"], store=lab.store, request="7")
    assert found.json()["request"] == "7" and found.json()["digest"]["value"] == digest(found.json())
