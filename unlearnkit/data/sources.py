"""Reading rows: JSON, JSONL, CSV, Parquet and text files, TOFU by split name, and data sets of the Hugging Face hub.

Local text formats are parsed here rather than by `datasets`, which reports a broken line as "an error occurred while
generating the dataset": a user needs the file, the line and the column. Hub data sets go through `datasets`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from unlearnkit.errors import BadInput, NotFound, UnlearnkitError

Raw = dict[str, Any]

TOFU_HUB = "locuslab/TOFU"


def read_rows(source: str, split: str | None, *, tofu_dir: Path | None, allow_download: bool) -> list[Raw]:
    """All rows of a source as dictionaries, in order.

    Raises:
        NotFound: no such file, folder, split or cached hub data set.
        BadInput: an empty name, or a split of what has none.
        UnlearnkitError: codes `empty`, `json`, `number`, `format`, `encoding`, with file and line.
    """
    if not source or "\0" in source:
        raise BadInput("the name of a data source is empty or has a NUL in it", code="value")
    path = Path(source)
    if split is not None and (source.startswith("tofu:") or path.is_file()):
        raise BadInput(f"{source} has no splits to choose from", hint="leave --split out", code="split")
    if source.startswith("tofu:"):
        rows = _tofu(source.removeprefix("tofu:"), tofu_dir, allow_download)
    elif path.exists():
        rows = _file(_in_folder(path, split) if path.is_dir() else path)
    elif _looks_like_hub_name(source):
        rows = _hub(source, split, allow_download)
    else:
        raise NotFound(
            f"no data at {source}",
            hint="give a .jsonl, .json, .csv, .parquet or .txt file, tofu:forget01, or a hub name like org/name",
            code="data",
        )
    if not rows:
        raise UnlearnkitError(f"{source} has no rows", code="empty", hint="check the file, or --split")
    return rows


def _looks_like_hub_name(source: str) -> bool:
    """`owner/name`, with a configuration behind a colon where there is one."""
    owner, _, name = source.partition("/")
    return bool(owner and name) and "/" not in name and not Path(source).suffix and not source.startswith((".", "~"))


def _in_folder(folder: Path, split: str | None) -> Path:
    splits = sorted(f for f in folder.iterdir() if f.suffix in READERS and f.suffix not in BESIDE_DATA)
    files = splits if split is None else [f for f in splits if f.stem == split]
    if len(files) == 1:
        return files[0]
    names = ", ".join(sorted(f.stem for f in splits)) or "none"
    raise NotFound(f"{folder} is a folder; its splits: {names}", hint="choose one with --split", code="data")


def _file(path: Path) -> list[Raw]:
    reader = READERS.get(path.suffix)
    if reader is None:
        raise UnlearnkitError(
            f"{path}: cannot tell the format from its name",
            hint=f"name it {' or '.join(READERS)}",
            code="format",
        )
    try:
        return reader(path)
    except OSError as error:
        raise UnlearnkitError(f"{path} cannot be read: {error.strerror}", code="unreadable") from error


# --------------------------------------------------------------------------------------------------- local formats


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnlearnkitError(f"{path} is UTF-16", hint="save it as UTF-8", code="encoding")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnlearnkitError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8",
            hint="save it as UTF-8",
            code="encoding",
        ) from error


def _jsonl(path: Path) -> list[Raw]:
    rows: list[Raw] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        rows.append(_object(line, f"{path}:{number}"))
    return rows


A_LINE = 'each line of a .jsonl file is one whole object, such as {"question": "…", "answer": "…"}'


def _object(line: str, where: str) -> Raw:
    value = _value(line, where, A_LINE)
    if not isinstance(value, dict):
        raise UnlearnkitError(f"{where}: expected an object, found {type(value).__name__}", hint=A_LINE, code="json")
    return value


A_FILE = "a .json file is one list; objects on lines of their own are a .jsonl file"


def _json(path: Path) -> list[Raw]:
    """One list of objects, or of texts."""
    rows = _value(_text(path), str(path), A_FILE)
    if not isinstance(rows, list) or not all(isinstance(row, (dict, str)) for row in rows):
        raise UnlearnkitError(f"{path}: expected a list of objects, or of texts", hint=A_FILE, code="json")
    return [{"text": row} if isinstance(row, str) else row for row in rows]


def _value(text: str, where: str, hint: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise UnlearnkitError(f"{where}: {constant} is not a number", code="number")

    try:
        value = json.loads(text, parse_constant=refuse)
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        said = error.msg.lower().removesuffix(" at")
        raise UnlearnkitError(f"{where}: {said} at {line}column {error.colno}", hint=hint, code="json") from error
    except UnicodeEncodeError as error:
        raise UnlearnkitError(f"{where}: lone surrogate in a text", code="encoding") from error
    except RecursionError as error:
        raise UnlearnkitError(f"{where}: nested too deeply", code="json") from error
    return value


def _csv(path: Path) -> list[Raw]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[Raw] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                wanted = len(reader.fieldnames or [])
                raise UnlearnkitError(
                    f"{path}:{reader.line_num}: the row does not have the header's {wanted} fields",
                    code="format",
                )
            rows.append(dict(row))
    except csv.Error as error:
        # The inner reader's number: the outer one counts up only when a row is whole.
        raise UnlearnkitError(f"{path}:{reader.reader.line_num}: {error}", code="format") from error
    return rows


def _parquet(path: Path) -> list[Raw]:
    from pyarrow import ArrowException, parquet

    try:
        rows: list[Raw] = parquet.read_table(path).to_pylist()
    except (ArrowException, ValueError) as error:
        raise UnlearnkitError(f"{path} is not a readable Parquet file: {error}", code="format") from error
    return rows


def _lines(path: Path) -> list[Raw]:
    """A document a line; empty lines are none."""
    return [{"text": line.removesuffix("\r")} for line in _text(path).split("\n") if line.strip()]


READERS: dict[str, Callable[[Path], list[Raw]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _lines,
}
BESIDE_DATA = {".txt", ".json"}
"""Read where a file is named, but no split of a folder, where such a file is as likely its licence or its settings."""


# -------------------------------------------------------------------------------------------------- TOFU and the hub


FOLDER = "--tofu-dir or UNLEARNKIT_TOFU_DIR"

TOFU_PERTURBED = ("forget01", "forget05", "forget10")
"""Splits whose `_perturbed` companion on the hub has the same pairs with paraphrases and wrong answers."""


def _tofu(split: str, folder: Path | None, allow_download: bool) -> list[Raw]:
    """A TOFU split, with the paraphrases and wrong answers that its `_perturbed` companion has for the same pairs."""
    if folder is None:
        hint = f"{FOLDER} names a folder that has {split}.jsonl; --allow-download fetches it"
        rows = _hub(f"{TOFU_HUB}:{split}", None, allow_download, hint)
        more = _hub(f"{TOFU_HUB}:{split}_perturbed", None, allow_download, hint) if split in TOFU_PERTURBED else []
        return _with_extras(rows, more)
    file = folder / f"{split}.jsonl"
    if "/" in split or not file.is_file():
        known = sorted(f.stem for f in folder.glob("*.jsonl")) if folder.is_dir() else []
        raise NotFound(
            f"no TOFU split {split!r} in {folder}",
            hint=f"splits there: {', '.join(known) or 'none'}; {FOLDER} names the folder",
            code="data",
        )
    companion = folder / f"{split}_perturbed.jsonl"
    return _with_extras(_jsonl(file), _jsonl(companion) if companion.is_file() else [])


def _with_extras(rows: list[Raw], companion: list[Raw]) -> list[Raw]:
    extras = {(r.get("question"), r.get("answer")): r for r in companion}
    return [{**extras.get((r.get("question"), r.get("answer")), {}), **r} for r in rows]


def _hub(source: str, split: str | None, allow_download: bool, hint: str = "--allow-download") -> list[Raw]:
    from datasets import load_dataset

    name, _, config = source.partition(":")
    try:
        with nullcontext() if allow_download else offline():
            data = load_dataset(name, config or None, split=split or "train")
    except Exception as error:
        if not allow_download:
            raise NotFound(
                f"{source} is not in the local cache, and downloads are off",
                hint=hint,
                code="offline",
            ) from error
        raise NotFound(f"{source} could not be loaded from the hub: {error}", code="data") from error
    return [dict(row) for row in data]


@contextmanager
def offline() -> Iterator[None]:
    """No hub is asked in here. The libraries read their environment when imported, so this is set where they look."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
