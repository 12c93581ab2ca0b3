"""Every screen fits 80 columns, whatever things are called, and says without colours all that it says with them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Answer
from rich.cells import cell_len

from unlearnkit.cli.common import folded
from unlearnkit.cli.main import COMMANDS as NAMES
from unlearnkit.report.overview import _head
from unlearnkit.report.sheet import Sheet, drawn, label, number, shorten

from .conftest import Lab
from .test_outputs import leaves
from .test_sheet import lines

Cli = Callable[..., Answer]

SCREENS = {
    "report": [],
    "runs list": [],
    "runs show": ["{evaluated}"],
    "runs compare": ["{before}", "{evaluated}"],
    "metrics": [],
    "metrics show": ["rouge"],
    "suites": [],
    "suites show": ["tofu+memorization+wmdp"],
    "plugins": [],
    "plugins show": ["mrd"],
    "analyze samples": ["--scores", "{scored}"],
    "analyze bias": ["--scores", "{scored}"],
    "runs diff": ["{before}", "{scored}", "--all"],
    "certificate issue": ["{unlearned}"],
    "store info": [],
    "score": ["--model", "{model}", "--data", "{forget}"],
    "unlearn": [
        "--model",
        "{model}",
        "--forget",
        "{forget}",
        "--retain",
        "{retain}",
        "--max-steps",
        "1",
        "--lr",
        "1e-4",
    ],
    "unlearn --dry-run": ["--model", "{model}", "--forget", "{forget}", "--retain", "{retain}"],
    "sweep": ["--model", "{model}", "--forget", "{forget}", "--retain", "{retain}", "--max-steps", "1"],
    "attack quantize": ["{model}", "--forget", "{forget}", "--max-new-tokens", "2"],
    "eval": ["{model}", "--forget", "{forget}", "--retain", "{retain}", "--max-new-tokens", "4"],
}
WIDE = "模型🙂 with a name that is wider than it is long, " * 3


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["small", "wide"])
def show(request: pytest.FixtureRequest, cli: Cli, lab: Lab, retain_file: Path) -> Callable[[str], Answer]:
    """A command on the lab's store, or on one that has its evaluations four times, under wide names."""
    with sqlite3.connect(lab.store) as source, sqlite3.connect("copy.db") as target:
        source.backup(target)
        if request.param == "wide":
            widen(target)
    facts = {
        "model": lab.model, "forget": lab.forget, "retain": retain_file, "scored": lab.scored,
        "unlearned": lab.unlearned["mrd"], "before": lab.evaluated["before"], "evaluated": lab.evaluated["mrd"],
    }  # fmt: skip

    def run(name: str) -> Answer:
        words = [*name.split(), *(word.format(**facts) for word in SCREENS[name])]
        return cli(*words, "--store", "copy.db")

    return run


def widen(db: sqlite3.Connection) -> None:
    db.execute("UPDATE model SET source = ? || source", [WIDE])
    db.execute("UPDATE dataset SET label = ? || label", [WIDE])
    for run, summary in db.execute("SELECT id, summary FROM run WHERE kind = 'eval'").fetchall():
        db.execute("UPDATE run SET summary = ? WHERE id = ?", [json.dumps({**json.loads(summary), "label": WIDE}), run])
        for i in range(3):
            other = f"{i + 1}{run[1:]}"
            for table in ("run", "run_dataset", "result", "aggregate"):
                names = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
                new = {"id": "?", "run": "?", "identity": f"identity || '{i}'"}
                values = ", ".join(new.get(name, name) for name in names)
                key = "id" if table == "run" else "run"
                db.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} = ?", [other, run])


@pytest.mark.parametrize("name", SCREENS)
def test_screens_fit(name: str, show: Callable[[str], Answer]):
    shown = show(name)
    assert shown.code == 0, shown.err
    assert [line for line in shown.out.splitlines() if cell_len(line) > 80] == []
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("name", ["", *NAMES, *(name for name, _ in leaves() if " " in name)])
def test_help_fits(name: str, cli: Cli):
    shown = cli(*name.split(), "--help").out
    assert [line for line in shown.splitlines() if cell_len(line) > 80] == []


def examples() -> Iterator[str]:
    for _, command in leaves():
        yield from re.findall(r"^  (unlearnkit (?:.*\\\n)*.*)$", command.epilog or "", re.MULTILINE)


def test_examples_can_be_typed_as_they_stand(tmp_path: Path):
    found = [example for example in examples() if " > " not in example]  # whose words the shell keeps
    assert len(found) > 40 and any("\\\n" in example for example in found)
    script = "unlearnkit() { printf '%s\\n' \"$@\"; echo; }\n" + "\n".join(found)
    told = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    typed = [lines.split("\n") for lines in told.removesuffix("\n\n").split("\n\n")]
    assert typed == [shlex.split(re.sub(r"\\\n *", "", example))[1:] for example in found]


def test_what_is_quoted_is_not_folded():
    wanted = "unlearnkit report --assert 'a long condition and another one and one more and the last of them all'"
    assert shlex.split(folded(wanted).replace("\\\n", "")) == shlex.split(wanted)


# --------------------------------------------------------------------------------------------------------------- sheets


def test_a_table_that_is_too_wide_goes_on_below():
    sheet = Sheet("many", label("name"), *(number(f"column {i}") for i in range(12)))
    for row in ("first", "模型" * 20):
        sheet.add(row, *(f"{i}.123" for i in range(12)))
    shown = lines(sheet)
    assert max(map(cell_len, shown)) <= 80
    assert [int(i) for i in re.findall(r"column (\d+)", "\n".join(shown))] == list(range(12))
    assert sum(line.startswith("first") for line in shown) == 2
    numbers = re.findall(r"(\d+)\.123", "\n".join(line for line in shown if line.startswith("first")))
    assert [int(n) for n in numbers] == list(range(12))


def test_a_table_without_heads_has_no_line_for_them():
    sheet = Sheet("", label(""), number(""))
    sheet.add("a", "1")
    assert lines(sheet) == ["a  1"]


@pytest.mark.parametrize("text", ["模型模型模型模型", "🙂" * 9, "e\u0301" * 30, "plain text that is long", "short"])
def test_shortened_texts_take_no_more_room(text: str):
    assert cell_len(shorten(text, 12)) <= 12
    assert shorten("short", 12) == "short"


def test_ascii_takes_the_place_of_signs(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    from unlearnkit.cli import main

    written = {}
    for encoding in ("ascii", "utf-8"):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as stop:
            main(["report", lab.unlearned["mrd"], "--store", str(lab.store)])
        assert not stop.value.code
        out.flush()
        written[encoding] = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert re.search(r"^#1 graddiff, mrd\s+\|?\s*forget\s+\|?\s*[_.\-:=+*#]{2}", written["ascii"], re.MULTILINE)
    assert re.search(r"^#1 graddiff, mrd +forget  [▁▂▃▄▅▆▇█]{2}", written["utf-8"], re.MULTILINE)
    assert len(written["ascii"].splitlines()) == len(written["utf-8"].splitlines())


def test_json_keeps_its_texts_where_only_ascii_can_be_written(monkeypatch: pytest.MonkeyPatch):
    from unlearnkit.cli.output import Output

    out = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", out)
    Output("json").data({"label": "模型🙂"}, [])
    out.flush()
    assert json.loads(out.buffer.getvalue()) == {"format": 1, "label": "模型🙂"}  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------------------- colours

CODES = re.compile(r"\x1b\[[0-9;]*m")


def test_colours_say_nothing_alone(cli: Cli, lab: Lab, monkeypatch: pytest.MonkeyPatch):
    words = ("runs", "list", "--store", lab.store)
    plain = cli(*words).out
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = cli(*words).out
    assert "\x1b" not in plain
    assert CODES.sub("", coloured) == plain and "\x1b[32mcomplete" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    codes = {int(code) for codes in re.findall(r"\x1b\[([0-9;]+)m", cli(*words).out) for code in codes.split(";")}
    assert codes <= {0, 1, 2}, "bold and dim are no colours"
    monkeypatch.setenv("TERM", "dumb")
    assert cli(*words).out == plain


@pytest.mark.parametrize(("term", "styled"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_what_it_can_show(term: str, styled: bool, tmp_path: Path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "80"}
    words = [sys.executable, "-m", "unlearnkit", "suites", "list"]
    subprocess.run(words, stdout=theirs, stderr=subprocess.DEVNULL, check=True, cwd=tmp_path, env=environment)
    os.close(theirs)
    assert (b"\x1b" in os.read(ours, 100_000)) == styled
    os.close(ours)


def test_a_report_draws_the_curves_of_its_models_runs(cli: Cli, lab: Lab):
    _, _, shown = cli("report", "--store", lab.store).out.partition("training, step by step\n")
    rows = [line.split() for line in shown.splitlines() if re.search("[▁▂▃▄▅▆▇█]", line)]
    with sqlite3.connect(lab.store) as db:
        for run in lab.unlearned.values():
            steps = [json.loads(t) for (t,) in db.execute("SELECT terms FROM step WHERE run = ? ORDER BY step", [run])]
            for term in ("forget", "retain", "loss"):
                first, last = (f"{step[term]:.4g}" for step in (steps[0], steps[-1]))
                curve = "▁▁" if first == last else "▁█" if steps[0][term] < steps[-1][term] else "█▁"
                assert [term, curve, first, last] in [row[-4:] for row in rows]
    assert len(rows) == 3 * len(lab.unlearned)


def test_an_epoch_is_no_term(cli: Cli, lab: Lab):
    run = lab.unlearned["mrd"]
    with sqlite3.connect(lab.store) as db:
        (terms,) = db.execute("SELECT terms FROM step WHERE run = ? ORDER BY step DESC LIMIT 1", [run]).fetchone()
    assert "epoch" in json.loads(terms)
    _, _, shown = cli("runs", "show", run, "--store", lab.store).out.partition("\nsteps\n")
    drawn = {line.split()[0] for line in shown.splitlines() if re.search("[▁▂▃▄▅▆▇█]", line)}
    assert drawn == json.loads(terms).keys() - {"epoch"}


@pytest.mark.parametrize(
    ("label", "head"),
    [("retain-only", "#1\nretain-only"), ("full", "#1\nretain-only\nfull"), ("a, b", "#1\nretain-only\na\nb")],
)
def test_the_retain_only_model_is_called_so_once(label: str, head: str):
    assert _head("#1\nretain-only", SimpleNamespace(label=label)) == head


def test_curves_stand_beside_their_numbers():
    sheet = Sheet("", label("term"), drawn("curve"), number("last"))
    sheet.add("loss", "▇▄▁", "0.1")
    assert lines(sheet)[-1].split() == ["loss", "▇▄▁", "0.1"]
