"""Reading rows: the same rows from every format, and where exactly a file is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unlearnkit.data.samples import DataSpec, load_samples
from unlearnkit.data.sources import read_rows
from unlearnkit.errors import BadInput, NotFound, UnlearnkitError

ROWS = [
    {"question": "Who?", "answer": "Nobody, really."},
    {"question": "Zwei\nZeilen, \"quoted\"?", "answer": "naïve — 東京 🙂 e\u0301"},
    {"question": "", "answer": "line\u2028separator"},
]  # fmt: skip


def read(source: object, split: str | None = None, **options: Any) -> list[dict[str, Any]]:
    return read_rows(str(source), split, **{"tofu_dir": None, "allow_download": False} | options)


def refused(source: object, split: str | None = None, **options: Any) -> UnlearnkitError:
    with pytest.raises(UnlearnkitError) as caught:
        read(source, split, **options)
    return caught.value


def test_formats_agree(tmp_path: Path):
    import csv

    import pyarrow
    from pyarrow import parquet

    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.replace("\n", "\r\n\r\n").encode())
    with (tmp_path / "c.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(ROWS)
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == ROWS, path.name


def test_a_folder_holds_splits(tmp_path: Path):
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{name}"}}\n')
    assert read(tmp_path, "test") == [{"text": "test"}]
    for split in (None, "dev"):
        error = refused(tmp_path, split)
        assert (error.exit_code, "its splits: test, train" in error.message) == (3, True)
    (tmp_path / "test.jsonl").unlink()
    assert read(tmp_path) == [{"text": "train"}]


def test_plain_text_has_a_document_a_line(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes('\ufeffOne line.\r\n\n \t\n  Zwei, naïve\u2028東京  \n{"not": "JSON"}'.encode())
    texts = ["One line.", "  Zwei, naïve\u2028東京  ", '{"not": "JSON"}']
    assert read(path) == [{"text": text} for text in texts]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    in_lines, in_json = (load_samples(DataSpec(str(tmp_path / name))) for name in ("a.txt", "b.jsonl"))
    assert in_lines.samples == in_json.samples


def test_a_licence_beside_the_data_is_no_split(tmp_path: Path):
    (tmp_path / "train.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "LICENSE.txt").write_text("Do what you like.\n")
    assert read(tmp_path) == [{"text": "x"}]


def test_a_file_has_no_splits(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    assert isinstance(refused(tmp_path / "a.jsonl", "train"), BadInput)


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "json", "a.jsonl:2: expecting value at column 7"),
        ("a.jsonl", '\n{"a": 1} x\n', "json", "a.jsonl:2: extra data at column 10"),
        ("a.jsonl", "[1]\n", "json", "a.jsonl:1: expected an object, found list"),
        ("a.jsonl", "[" * 100_000, "json", "a.jsonl:1: nested too deeply"),
        ("a.jsonl", '{"a": NaN}\n', "number", "a.jsonl:1: NaN is not a number"),
        ("a.jsonl", '{"a": "\\ud800"}\n', "encoding", "a.jsonl:1: lone surrogate"),
        ("a.jsonl", '{"a": "ok"}\n{"a": "Köln"}\n'.encode("latin-1"), "encoding", "a.jsonl:2: byte 0xf6 is not UTF-8"),
        ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), "encoding", "UTF-16"),
        ("a.csv", "q,a\n1,2\n1,2,3\n", "format", "a.csv:3: the row does not have the header's 2 fields"),
        ("a.csv", "q,a\n1\n", "format", "a.csv:2: the row does not have the header's 2 fields"),
        ("a.csv", 'q,a\n1,"2\n', "format", "a.csv:2: "),
        ("a.parquet", b"PAR1 and then nothing", "format", "is not a readable Parquet file"),
        ("a.doc", "x", "format", "cannot tell the format"),
        ("a.txt", "ok\nö\n".encode("latin-1"), "encoding", "a.txt:2: byte 0xf6 is not UTF-8"),
        ("a.txt", "\n \n", "empty", "has no rows"),
        ("a.jsonl", "", "empty", "has no rows"),
    ],
)
def test_what_is_broken_and_where(tmp_path: Path, name: str, content: str | bytes, code: str, said: str):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    error = refused(tmp_path / name)
    assert error.code == code
    assert said in error.message


def test_parquet_that_was_cut_off(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(path).code == "format"


@pytest.mark.parametrize("source", ["nowhere.jsonl", "./a/b", "https://host/data"])
def test_nothing_there(source: str):
    error = refused(source)
    assert isinstance(error, NotFound)
    assert error.code == "data"


@pytest.mark.parametrize(
    ("source", "ways"),
    [
        ("someone/something", ["--allow-download"]),
        ("tofu:forget01", ["--tofu-dir", "UNLEARNKIT_TOFU_DIR", "forget01.jsonl", "--allow-download"]),
    ],
)
def test_hub_names_are_not_asked_for_unasked(source: str, ways: list[str]):
    error = refused(source)
    assert (error.exit_code, error.code) == (3, "offline")
    assert [way for way in ways if way not in str(error.hint)] == []


# ---------------------------------------------------------------------------------------------------------------- TOFU


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder as TOFU's: the companion is in another order and knows one pair less and one more."""
    pairs = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(3)]
    extras = [{**pair, "paraphrased_answer": f"p {pair['answer']}", "perturbed_answer": ["x"]} for pair in pairs[:0:-1]]
    extras.append({"question": "q0", "answer": "another", "paraphrased_answer": "?", "perturbed_answer": ["?"]})
    for name, rows in (("forget01", pairs), ("forget01_perturbed", extras)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_tofu_rows_take_their_perturbed_answers_along(made_up: Path):
    rows = read("tofu:forget01", tofu_dir=made_up)
    assert [row["answer"] for row in rows] == ["a0", "a1", "a2"]
    assert [row.get("paraphrased_answer") for row in rows] == [None, "p a1", "p a2"]


@pytest.mark.parametrize("split", ["forget02", "", "../forget01", "a/b"])
def test_unknown_tofu_split(made_up: Path, split: str):
    error = refused(f"tofu:{split}", tofu_dir=made_up)
    assert isinstance(error, NotFound)
    assert "forget01, forget01_perturbed" in str(error.hint)


def test_real_tofu(tofu: Path):
    plain = [json.loads(line) for line in (tofu / "forget01.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = read("tofu:forget01", tofu_dir=tofu)
    assert [(row["question"], row["answer"]) for row in rows] == [(row["question"], row["answer"]) for row in plain]
    assert all(len(row["perturbed_answer"]) >= 3 and row["paraphrased_answer"] for row in rows)
