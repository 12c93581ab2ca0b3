"""Bad input, row by row: what is said of it, where, with what hint, code and exit code; and that nothing came of it.

Every row runs as a person would see it (two lines on stderr) and as a program would (one JSON object). A row that is
not marked `late` must be found out before a model is loaded and before a store exists.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

SCORE = "score --model MODEL --data FORGET"
ATTACK = "MODEL --forget FORGET"
UNLEARN = "unlearn --model MODEL --forget FORGET --retain RETAIN"
FINETUNE = "finetune --model MODEL --data FORGET"
MOST = 2**63 - 1

Setup = Callable[[Path], None]


@dataclass(frozen=True)
class Bad:
    """A command that must be refused. `setup` prepares the working folder, which has a copy of the tiny model in
    `broken` where `model` alters it; `variable` is set in the environment."""

    row: str
    command: str
    exit: int
    code: str
    says: str
    hint: str = ""
    setup: Setup | None = None
    model: Setup | None = None
    variable: str = ""
    late: bool = False


# --------------------------------------------------------------------------------------------------- ways to be broken


def rows(*values: Any) -> Setup:
    """`bad.jsonl` with a line for each value: an object, or text as it is."""
    lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return lambda here: (here / "bad.jsonl").write_text("".join(line + "\n" for line in lines)) and None


def file(name: str, content: str | bytes) -> Setup:
    data = content.encode() if isinstance(content, str) else content
    return lambda here: (here / name).write_bytes(data) and None


def edit(name: str, **changes: Any) -> Setup:
    """Keys of a JSON file in the model's folder; None takes one away."""

    def alter(model: Path) -> None:
        content = json.loads((model / name).read_text()) | changes
        (model / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return alter


def lacking(*patterns: str) -> Setup:
    def remove(model: Path) -> None:
        for pattern in patterns:
            for path in model.glob(pattern):
                path.unlink()

    return remove


def weights(alter: Callable[[dict[str, Any]], Any]) -> Setup:
    def change(model: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(model / "model.safetensors")
        alter(tensors)
        save_file(tensors, model / "model.safetensors", {"format": "pt"})

    return change


def truncated(model: Path) -> None:
    path = model / "model.safetensors"
    os.truncate(path, path.stat().st_size - 1000)


def pickled(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def foreign_token(model: Path) -> None:
    content = json.loads((model / "tokenizer.json").read_text())
    content["added_tokens"].append({**content["added_tokens"][0], "id": 50257, "content": "<|other|>"})
    (model / "tokenizer.json").write_text(json.dumps(content))


def sqlite(*statements: str) -> Setup:
    def make(here: Path) -> None:
        other = sqlite3.connect(here / "unlearnkit.db")
        for statement in statements:
            other.execute(statement)
        other.commit()
        other.close()

    return make


def store(*statements: str) -> Setup:
    """A store with something done to it behind its back."""

    def make(here: Path) -> None:
        from unlearnkit.store import Store

        Store.open(here / "unlearnkit.db").close()
        sqlite(*statements)(here)

    return make


def pair(answer: Any = "a", question: Any = "q") -> dict[str, Any]:
    return {"question": question, "answer": answer}


GOOD = [pair(f"answer {i}") for i in range(3)]
BAD_DATA = "score --model MODEL --data bad.jsonl"
BROKEN = "score --model broken --data FORGET"

# -------------------------------------------------------------------------------------------------------- the catalogue

CATALOGUE = [
    # Numbers: plugin options, then the command's own.
    *(
        Bad("1", f"{SCORE} -o eps={text}", 2, "option", f"-o eps must be a finite number > 0, got {text}", "plain")
        for text in ("nan", "inf", "-inf")
    ),
    *(
        Bad("2", f"{SCORE} -o sigma={text}", 2, "option", f"-o sigma must be a finite number > 0 or auto, got {text}")
        for text in ("0", "-1", "1e-400")
    ),
    *(
        Bad("3", f"{SCORE} -o 'eps={text}'", 2, "option", f"got {text}", "not a plain decimal number")
        for text in ("1_0", "１２", "1,5", "0x1", " 1")
    ),
    *(
        Bad("4", f"{SCORE} -o draws={text}", 2, "option", f"a whole number ≥ 1 and ≤ 1000000 or auto, got {text}")
        for text in ("0", "-3", "1e3", "1" * 20, "1000001")
    ),
    Bad("4", f"{UNLEARN} --sampler mrd -s draws=0", 2, "option", "draws must be a whole number ≥ 1"),
    Bad("6", f"{UNLEARN} --plugin nop", 3, "plugin", 'no algorithm "nop"', 'did you mean "npo"?'),
    Bad("6", f"{UNLEARN} --sampler mdr", 3, "plugin", 'no sampler "mdr"', 'did you mean "mrd"?'),
    Bad("6", f"{SCORE} --scorer xyz", 3, "plugin", 'no scorer "xyz"', "there are: mrd"),
    Bad("6", "scroe", 2, "usage", 'no command "scroe"', "did you mean score?"),
    Bad("7", f"{UNLEARN} -o bta=0.2", 2, "option", 'algorithm "npo" has no option "bta"', 'did you mean "beta"?'),
    Bad("7", f"{UNLEARN} -o beta=x", 2, "option", "-o beta must be a finite number > 0, got x", '"x" is not'),
    Bad("7", f"{UNLEARN} -o beta=nan", 2, "option", "-o beta must be a finite number > 0, got nan"),
    Bad("7", f"{UNLEARN} -o beta=-1", 2, "option", "-o beta must be a finite number > 0, got -1", "default 0.1"),
    Bad("7", f"{UNLEARN} -o beta", 2, "option", '-o takes key=value, got "beta"', "-o beta=VALUE"),
    Bad("7", f"{SCORE} -o estimator=both", 2, "option", "-o estimator must be one of antithetic, plain, mean-abs"),
    *(
        Bad("7", f"{SCORE} -o {said}", 2, "option", "say when draws=auto has enough; draws is 8", "-o draws=auto")
        for said in ("reliability=0.99", "max_draws=64")
    ),
    Bad("6", f"attack relern {ATTACK}", 3, "plugin", 'no attack "relern"', 'did you mean "relearn"?'),
    Bad("6", f"attack sample {ATTACK} --metrics rogue", 3, "plugin", 'no metric "rogue"', 'did you mean "rouge"?'),
    Bad("7", f"attack quantize {ATTACK} -o bits=1", 2, "option", "-o bits must be a whole number ≥ 2 and ≤ 8"),
    Bad("7", f"attack quantize {ATTACK} -o bits=4,4", 2, "option", "bits must be one or more different numbers"),
    Bad("7", f"attack relearn {ATTACK} -o k=0", 2, "option", "-o k must be a whole number ≥ 1, got 0"),
    Bad("7", f"attack quantize {ATTACK} --retain RETAIN", 2, "usage", "quantize reads no retain set", "without"),
    Bad("10", f"{UNLEARN} --out ''", 2, "value", "--out is empty"),
    Bad("10", f"{FINETUNE} --out 'a\0b'", 2, "value", "--out has a NUL in it"),
    Bad("10", f"{SCORE} --store ''", 2, "value", "--store is empty"),
    Bad("10", "score --model 'a\0b' --data FORGET", 2, "value", "--model has a NUL in it"),
    Bad("10", "score --model MODEL --data ''", 2, "value", "--data is empty"),
    Bad("10", "eval '' --forget FORGET", 2, "value", "MODEL|RUN is empty"),
    Bad(
        "10", f"{FINETUNE} --out broken", 2, "usage", "broken is not empty", "--force", model=lambda model: None,
    ),
    Bad("10", f"{FINETUNE} --out taken/model", 2, "usage", "taken is a file", setup=file("taken", "x")),
    Bad("10", f"{FINETUNE} --out /proc/model", 1, "write", "cannot write /proc/model", "choose a folder"),
    Bad("10", f"{SCORE} --store /proc/x.db", 1, "read-only", "/proc/x.db cannot be written: ", "--store"),
    Bad("10", "eval --model MODEL --forget FORGET", 2, "usage", "--model: MODEL|RUN is given", "eval MODEL|RUN"),
    Bad("10", "plugins check nowhere", 3, "plugin", "nothing at nowhere", "pyproject.toml"),
    Bad(
        "10", "eval MODEL --forget FORGET --reference nowhere", 3, "run", 'no run "nowhere", and no such folder',
        "or a model's folder", setup=store(),
    ),
    *(Bad("11", f"{FINETUNE} --lr {text}", 2, "value", f"got {text}") for text in ("0", "-1e-5", "nan")),
    Bad("11", f"{FINETUNE} --lr abc", 2, "value", "--lr must be a finite number > 0, got abc", "plain decimal"),
    Bad("11", f"{FINETUNE} --lr 101", 2, "value", "--lr must be a number > 0 and ≤ 100, got 101"),
    Bad("11", f"{FINETUNE} --epochs 0", 2, "value", "--epochs must be a whole number ≥ 1 and ≤ 1000000000, got 0"),
    Bad("11", f"{FINETUNE} --batch-size 0", 2, "value", "--batch-size must be a whole number ≥ 1"),
    *(
        Bad("11", f"{SCORE} --seed {text}", 2, "value", f"--seed must be a whole number ≥ 0 and ≤ {MOST}, got {text}")
        for text in ("-1", str(MOST + 1), "0x10", "1.0")
    ),
    *(
        Bad("77", f"{UNLEARN} {said}", 2, "condition", says, hint)
        for said, says, hint in (
            ("--until forget.nll", '--until takes NAME>=NUMBER (or <=, >, <), got "forget.nll"', "'forget.nll>=3'"),
            ("--until 'forget.nll>=nan'", '"nan" is not a plain decimal number', ""),
            ("--keep 'retain.nl<=1.2x'", '--keep: there is no value "retain.nl"', 'did you mean "retain.nll"?'),
            ("--until 'model_utility<=0.5'", "--until model_utility needs evaluations", "--eval-every"),
            ("--best forget_quality --eval-every 1", "--best forget_quality needs a reference", "--reference"),
        )
    ),
    Bad("77", f"{UNLEARN} --eval-data retain=RETAIN", 2, "usage", "--eval-data is for evaluations", "--eval-every"),
    Bad("77", f"{UNLEARN} --eval-every 1 --eval-data held=RETAIN", 2, "split", "has no split held", "its splits"),
    Bad("77", f"{UNLEARN} --eval-every 1 --suite toffu", 3, "suite", 'no suite "toffu"', 'did you mean "tofu"?'),
    Bad("11", f"{UNLEARN.replace('unlearn', 'sweep', 1)} --seed 4..0", 2, "value", '"4..0" is no range', "0..4"),
    Bad("12", f"{UNLEARN.replace('unlearn', 'sweep', 1)} --seed 0,0", 2, "twice", "--seed has 0 twice"),
    *(
        Bad("77", f"{UNLEARN.replace('unlearn', 'sweep', 1)} {said}", status, code, says, hint)
        for said, status, code, says, hint in (
            ("-o nop.beta=1", 2, "option", '-o nop.beta: no algorithm "nop" in this sweep', 'did you mean "npo"?'),
            ("--wrapper none,gur", 3, "plugin", 'no wrapper "gur"', 'did you mean "gru"?'),
            ("-w gamma=1", 2, "usage", "-w gives an option of a wrapper", "--wrapper NAME"),
            ("-a rank=2", 2, "usage", "-a gives an option of an adapter", "--adapter NAME"),
        )
    ),
    Bad("12", f"{FINETUNE} --lr 1e-5 --lr 1e-4", 2, "twice", "--lr given twice"),
    Bad("12", f"{UNLEARN} -o beta=1 -o beta=2", 2, "twice", "-o beta given twice"),
    Bad(
        "13", "unlearn --model MODEL --forget FORGET --retain FORGET", 1, "overlap",
        "8 samples are in both", "--allow-overlap",
    ),
    Bad(
        "13", "unlearn --model MODEL --forget FORGET --retain FORGET --plugin ga", 1, "overlap",
        "forget rows 1, 2, 3, 4, 5, 6, 7, 8", "--allow-overlap",
    ),
    Bad(
        "14", SCORE, 2, "settings", "unlearnkit.toml:2: stroe: no such setting", "did you mean store?",
        setup=file("unlearnkit.toml", 'threads = 1\nstroe = "x.db"\n'),
    ),
    Bad(
        "14", SCORE, 2, "settings", "unlearnkit.toml: Invalid value (at line 2, column 9)",
        setup=file("unlearnkit.toml", 'store = "x"\nthreads=\n'),
    ),
    Bad("14", SCORE, 2, "settings", "unlearnkit.toml:1: threads = 0", setup=file("unlearnkit.toml", "threads = 0\n")),
    Bad("14", SCORE, 2, "settings", "UNLEARNKIT_SIGMA: no such setting", "settings: store", variable="SIGMA=x"),
    Bad("14", SCORE, 2, "settings", "UNLEARNKIT_THREADS = 'two': ", variable="THREADS=two"),
    # Data.
    Bad("16", BAD_DATA, 1, "empty", "bad.jsonl has no rows", setup=rows()),
    Bad("16", BAD_DATA, 1, "empty", "bad.jsonl has no rows", setup=rows("", "  ")),
    Bad(
        "16", f"{BAD_DATA} --on-bad-row skip", 1, "empty", "bad.jsonl has no usable rows", "skipped",
        setup=rows(pair(None), pair("")),
    ),
    Bad("16", "score --model MODEL --data bad.csv", 1, "empty", "no rows", setup=file("bad.csv", "question,answer\n")),
    Bad(
        "17", BAD_DATA, 1, "column", 'no column "answer"; columns: question, response', "--answer-column response",
        setup=rows({"question": "q", "response": "r"}),
    ),
    Bad("17", f"{BAD_DATA} --text-column body", 1, "column", 'no column "body"', "--text-column", setup=rows(pair())),
    Bad("18", BAD_DATA, 1, "json", "bad.jsonl:2: unterminated string starting at column 14", "one whole object",
        setup=rows(pair(), '{"question": "q')),
    Bad("18", BAD_DATA, 1, "type", 'row 2: "answer" is null', "--on-bad-row skip", setup=rows(pair(), pair(None))),
    Bad("18", BAD_DATA, 1, "type", 'row 1: "question" is null', setup=rows({"answer": "a"}, pair())),
    Bad("18", BAD_DATA, 1, "type", 'row 3: "answer" is a list, not a text', setup=rows(pair(), pair(), pair(["a"]))),
    Bad("18", BAD_DATA, 1, "type", 'row 1: "answer" is a number, not a text', setup=rows(pair(7), pair())),
    Bad(
        "18", BAD_DATA, 1, "type", 'row 10: "answer" is null; and 5 more',
        setup=rows(*[pair(None) for _ in range(15)]),
    ),
    Bad("19", BAD_DATA, 1, "no-target", 'row 2: "answer" is empty', "--on-bad-row skip", setup=rows(pair(), pair(""))),
    Bad("19", BAD_DATA, 1, "no-target", 'row 1: "answer" is empty', setup=rows(pair(" \t\n"), pair())),
    *(
        Bad("20", BAD_DATA, 1, "number", f"bad.jsonl:2: {word} is not a number", setup=rows(pair(), line))
        for word in ("NaN", "Infinity", "-Infinity")
        for line in [f'{{"question": "q", "answer": "a", "weight": {word}}}']
    ),
    # Models.
    Bad("34", "score --model nowhere --data FORGET", 3, "model", "no model at nowhere", "config.json"),
    Bad("34", "score --model FORGET --data FORGET", 3, "model", "it is a file", "config.json"),
    Bad("34", BROKEN, 3, "model", "the folder is empty", "config.json", model=lacking("*")),
    Bad("34", "score --model org/name --data FORGET", 3, "offline", "not in the local cache", "--allow-download"),
    Bad("35", BROKEN, 1, "model-config", "no config.json in broken", "config.json", model=lacking("config.json")),
    Bad("35", BROKEN, 1, "model-config", "broken/config.json", model=edit("config.json", model_type="llamma")),
    Bad("35", BROKEN, 1, "model-config", "names no model_type", model=edit("config.json", model_type=None)),
    Bad("36", BROKEN, 1, "weights", "no weights in broken", "fetch the folder whole", model=lacking("*.safetensors")),
    Bad("36", BROKEN, 1, "weights", "model.safetensors is damaged: expected ", "fetch it again", model=truncated),
    Bad(
        "37", BROKEN, 1, "weights", "missing weights: model.norm.weight", late=True,
        model=weights(lambda tensors: tensors.pop("model.norm.weight")),
    ),
    Bad(
        "37", BROKEN, 1, "weights", "mismatched weights: model.norm.weight", late=True,
        model=weights(lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"][:-1]})),
    ),
    Bad(
        "38", BROKEN, 1, "weights-nan", "model.norm.weight has 3 values that are NaN or infinite", late=True,
        model=weights(lambda tensors: tensors["model.norm.weight"][:3].fill_(float("nan"))),
    ),
    Bad(
        "38", BROKEN, 1, "weights-nan", "values are zero", late=True,
        model=weights(lambda tensors: tensors["model.layers.0.mlp.up_proj.weight"].zero_()),
    ),
    Bad("39", BROKEN, 1, "pickle", "weights as a pickle (pytorch_model.bin)", "safetensors", model=pickled),
    Bad(
        "40", BROKEN, 1, "remote-code", "asks to run code that comes with the model (auto_map)",
        model=edit("config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}),
    ),
    # Stores.
    Bad(
        "51", SCORE, 1, "store-newer", "schema 0099", "upgrade",
        setup=store("UPDATE alembic_version SET version_num='0099'"),
    ),
    Bad(
        "53", SCORE, 1, "store-foreign", "sly",
        setup=store("CREATE TRIGGER sly AFTER INSERT ON run BEGIN DELETE FROM run; END"),
    ),
    Bad("53", "runs list", 1, "store-foreign", "notes", setup=store("CREATE TABLE notes (text)")),
    Bad("53", "runs list", 1, "store-foreign", "meta", setup=store("DROP TABLE meta")),
    Bad("54", SCORE, 1, "not-a-store", "is a text file", "--store", setup=file("unlearnkit.db", "a,b\n" * 99)),
    Bad("54", SCORE, 1, "not-a-store", "Parquet", "--store", setup=file("unlearnkit.db", b"PAR1\0" * 99)),
    Bad("54", SCORE, 1, "not-a-store", "SQLite", setup=sqlite("CREATE TABLE notes (text)")),
    Bad("54", SCORE, 1, "not-a-store", "a folder", setup=lambda here: (here / "unlearnkit.db").mkdir()),
    Bad("54", SCORE, 1, "not-a-store", "a pipe", setup=lambda here: os.mkfifo(here / "unlearnkit.db")),
    Bad(
        "54", SCORE, 1, "not-a-store", "a link to gone",
        setup=lambda here: (here / "unlearnkit.db").symlink_to("gone"),
    ),
    Bad("61", "resume 01ABCDEF", 3, "store", "/unlearnkit.db", "--store"),
    Bad("61", "eval @last --forget FORGET", 3, "model", "no model at @last"),
    Bad("61", "eval f2x --forget FORGET", 3, "model", "no model at f2x", "config.json", setup=store()),
    Bad(
        "61", "eval MODEL --forget FORGET --reference f2x", 3, "run", "too short for a run, and no such folder",
        "or a model's folder", setup=store(),
    ),
    Bad("61", "score --model run:01AB --data FORGET", 3, "store", "/unlearnkit.db"),
    Bad("61", "resume 01ABCDEF", 3, "run", 'no run "01ABCDEF"', "runs list", setup=store()),
    Bad("61", "runs show @last", 3, "run", "no run yet", "runs list", setup=store()),
]  # fmt: skip


def ident(bad: Bad) -> str:
    return f"row {bad.row}: {bad.says}"[:70]


@pytest.mark.parametrize("bad", CATALOGUE, ids=ident)
def test_is_refused_in_words_and_by_code(
    bad: Bad,
    cli: Callable[..., Answer],
    tmp_path: Path,
    tiny_model_dir: Path,
    forget_file: Path,
    retain_file: Path,
    loaded: list[str],
    monkeypatch: pytest.MonkeyPatch,
):
    if bad.variable:
        name, _, value = bad.variable.partition("=")
        monkeypatch.setenv(f"UNLEARNKIT_{name}", value)
    if bad.model:
        shutil.copytree(tiny_model_dir, tmp_path / "broken")
        bad.model(tmp_path / "broken")
    if bad.setup:
        bad.setup(tmp_path)
    before = contents(tmp_path)
    places = {"MODEL": tiny_model_dir, "FORGET": forget_file, "RETAIN": retain_file}
    words = [places.get(word, word) for word in shlex.split(bad.command)]

    seen = cli(*words)
    assert (seen.code, seen.out) == (bad.exit, ""), seen.err
    first, *rest = [line for line in seen.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert first.startswith("error: ") and bad.says in first
    assert bad.hint in "".join(rest)
    assert "Traceback" not in seen.err

    read = cli(*words, "--format", "json")
    assert read.code == bad.exit
    assert read.error["code"] == bad.code
    assert bad.says in read.error["message"]
    assert bad.hint in (read.error["hint"] or "")

    if not bad.late:
        assert loaded == []
        assert contents(tmp_path) == before


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders of the models that transformers was asked to load."""
    from transformers import AutoModelForCausalLM

    seen: list[str] = []
    load = AutoModelForCausalLM.from_pretrained

    def note(folder: object, **options: Any) -> Any:
        seen.append(str(folder))
        return load(folder, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", note)
    return seen


def contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*")}
