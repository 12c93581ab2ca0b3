"""`split`: a data set in parts from the lowest score to the highest, as files to unlearn or to evaluate on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.data.samples import DataSpec, samples_of
from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.runs.inputs import find_model, read_raw
from unlearnkit.runs.scored import Scored, bins, choose_scored

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Bin:
    """A file that was written: its rows, and the range of their scores, None for rows without one."""

    file: Path
    rows: int
    low: float | None = None
    high: float | None = None

    def json(self) -> dict[str, Any]:
        return {**vars(self), "file": str(self.file)}


@dataclass(frozen=True)
class SplitReport:
    """Parts from the lowest score to the highest. `unscored` counts rows without a score and `skipped` rows that could
    not be used; neither are in a part."""

    scored: Scored
    bins: Sequence[Bin]
    unscored: int
    unscored_file: Bin | None
    skipped: int

    def json(self) -> dict[str, Any]:
        return {
            "run": self.scored.run.id,
            "scorer": self.scored.name,
            "high_means": self.scored.high_means,
            "bins": [part.json() for part in self.bins],
            "unscored": self.unscored,
            "unscored_file": None if self.unscored_file is None else str(self.unscored_file.file),
            "skipped": self.skipped,
        }


def split(
    place: Workplace,
    *,
    data: DataSpec,
    out: str,
    by: str = "mrd",
    count: int = 3,
    scores: str | None = None,
    model: str | None = None,
    unscored: bool = False,
    force: bool = False,
) -> SplitReport:
    """Write a data set as JSONL files `NAME-1-of-N.jsonl` …, 1 with the lowest scores.

    Rows keep all of their columns and their order. Parts have as many samples as each other, or one more; a text that
    stands in several rows is one sample, and its rows stay together.

    Args:
        by, scores, model: the scores: a run, or the most reliable of a scorer under a model. They must be in the store.
        out: folder for the files, made where it is not there.
        unscored: write rows without a score to `NAME-unscored.jsonl`; else they are left out.
        force: replace files that are there.

    Raises:
        NotFound: code `scores`; BadInput: a file is there, fewer samples with a score than parts, and what reading the
            data finds.
    """
    if (scores is None) == (model is None):
        raise BadInput("the scores are named by --model or by --scores, one of them", code="usage")
    if count < 2:
        raise BadInput(f"--bins must be a whole number ≥ 2, got {count}", code="value")
    rows = read_raw(place, data)
    samples = samples_of(rows, data)
    weights = None if model is None else find_model(place, model).fingerprint
    chosen = choose_scored(place, by=by, run=scores, weights=weights, data={s.id for s in samples.samples})
    values = {s.id: chosen.defined[s.id] for s in samples.samples if s.id in chosen.defined}
    if len(values) < count:
        raise BadInput(
            f"{len(values)} of the samples have a score in run {chosen.run.id}: too few for {count} parts",
            code="scores",
        )
    stem, folder = _stem(data), Path(out)
    part_of = {sample: i for i, part in enumerate(bins(values, count)) for sample in part}
    files = {i: folder / f"{stem}-{i + 1}-of-{count}.jsonl" for i in range(count)}
    without = [rows[s.position] for s in samples.samples if s.id not in part_of]
    if unscored and without:
        files[-1] = folder / f"{stem}-unscored.jsonl"
    texts: dict[int, list[str]] = {i: [] for i in files}
    for sample in samples.samples:
        if (part := part_of.get(sample.id, -1)) in texts:
            texts[part].append(_line(rows[sample.position], sample.position))
    _write({files[i]: texts[i] for i in files}, force)
    ranges = [sorted(value for s, value in values.items() if part_of[s] == i) for i in range(count)]
    return SplitReport(
        scored=chosen,
        bins=[Bin(files[i], len(texts[i]), ranges[i][0], ranges[i][-1]) for i in range(count)],
        unscored=len(without),
        unscored_file=Bin(files[-1], len(without)) if -1 in files else None,
        skipped=len(samples.skipped),
    )


def _stem(data: DataSpec) -> str:
    """What the files are called after: a file's name, a TOFU split, the last part of a hub name."""
    name = data.source.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    return Path(name).stem if data.split is None else data.split


def _line(row: Raw, position: int) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UnlearnkitError(
            f"row {position + 1} has a value that JSON cannot hold: {error}", hint="leave its column out", code="format"
        ) from error


def _write(texts: Mapping[Path, Sequence[str]], force: bool) -> None:
    """All files, each whole or not at all.

    Raises:
        BadInput: code `exists`; UnlearnkitError: code `write`.
    """
    there = [file for file in texts if file.exists()]
    if there and not force:
        raise BadInput(f"{there[0]} is there already", hint="another --out, or --force to replace it", code="exists")
    try:
        for file, lines in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_name(f".{file.name}.new")
            new.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            new.replace(file)
    except OSError as error:
        raise UnlearnkitError(f"cannot write {error.filename}: {error.strerror}", code="write") from error
