"""Rows become samples: columns are found, every row is checked, and identity is given by content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from unlearnkit.contracts import Sample
from unlearnkit.data.layout import Layout
from unlearnkit.data.sources import Raw, read_rows
from unlearnkit.errors import BadInput, UnlearnkitError

BAD_ROWS_SHOWN = 10


@dataclass(frozen=True)
class DataSpec:
    """Where a data set is and how to read it; all that a later run needs to read it again."""

    source: str
    split: str | None = None
    question_column: str | None = None
    answer_column: str | None = None
    text_column: str | None = None
    on_bad_row: Literal["fail", "skip"] = "fail"

    @property
    def named(self) -> bool:
        """Whether the user says which columns are read."""
        return bool(self.question_column or self.answer_column or self.text_column)


def spec_of(name: str, **columns: Any) -> DataSpec:
    """Data by one name: a source, and in brackets its split where it has some, `owner/name:config[split]`."""
    source, bracket, split = name.removesuffix("]").partition("[")
    if not (bracket and name.endswith("]")) or Path(name).exists():
        return DataSpec(name, **columns)
    return DataSpec(source, split, **columns)


@dataclass(frozen=True)
class SampleSet:
    """Samples in the file's order, and the rows that could not be used (position → reason)."""

    label: str
    samples: tuple[Sample, ...]
    skipped: dict[int, str]
    made: Mapping[str, int] = field(default_factory=dict)
    """How many samples have "paraphrases" or "wrong" answers that a rule made up."""

    @property
    def fingerprint(self) -> str:
        """Hash of the samples' ids in order: what is asked and answered, whatever the file is called."""
        return _digest([s.id for s in self.samples])

    @property
    def extras_fingerprint(self) -> str:
        """Hash that covers paraphrases and wrong answers too: what an evaluation reads."""
        return _digest([[s.id, s.paraphrases, s.wrong] for s in self.samples])

    @property
    def duplicates(self) -> int:
        return len(self.samples) - len({s.id for s in self.samples})

    def unique(self) -> SampleSet:
        """Each sample once, at its first position: nothing is computed twice for a text that stands twice."""
        first = {s.id: s for s in reversed(self.samples)}
        return replace(self, samples=tuple(sorted(first.values(), key=lambda s: s.position)))

    def behind(self, text: str) -> SampleSet:
        """The set with a text before each prompt: other questions, so other samples."""
        return replace(self, samples=tuple(_of(s, text + s.prompt, s.answer) for s in self.samples))

    def answering(self, change: Callable[[str], str]) -> SampleSet:
        """The set with its answers changed, so with other samples."""
        return replace(self, samples=tuple(_of(s, s.prompt, change(s.answer)) for s in self.samples))

    def without(self, bad: dict[int, str]) -> SampleSet:
        """The set less the rows at the given positions, which join `skipped`."""
        kept = tuple(s for s in self.samples if s.position not in bad)
        return replace(self, samples=kept, skipped={**self.skipped, **bad})


def _of(sample: Sample, prompt: str, answer: str) -> Sample:
    return replace(sample, prompt=prompt, answer=answer, id=sample_id(prompt, answer))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def sample_id(prompt: str, answer: str) -> str:
    """Content address of a sample: 32 hex digits of SHA-256 over its exact code points; no folding, no trimming."""
    return _digest([prompt, answer])[:32]


def ids_apart(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Ids of prompts and answers that count each: one that stands there again is another sample."""
    seen: Counter[tuple[str, str]] = Counter()
    ids = []
    for prompt, answer in texts:
        again = f"\0{seen[prompt, answer]}" if seen[prompt, answer] else ""
        seen[prompt, answer] += 1
        ids.append(sample_id(prompt, answer + again))
    return ids


def load_samples(
    spec: DataSpec,
    *,
    tofu_dir: Path | None = None,
    allow_download: bool = False,
    external: Callable[[str, str | None], list[Raw] | None] | None = None,
) -> SampleSet:
    """Read and check a data set.

    Args:
        spec: source, split, column names, and whether a bad row fails the whole or is left out.
        tofu_dir: folder of TOFU's splits as JSONL, for `tofu:` sources.
        external: asked first; how plugins bring sources of their own.

    Raises:
        UnlearnkitError: codes `column`, `type`, `encoding`, `no-target`, `empty` and those of `read_rows`.
    """
    return samples_of(raw_rows(spec, tofu_dir=tofu_dir, allow_download=allow_download, external=external), spec)


def raw_rows(
    spec: DataSpec,
    *,
    tofu_dir: Path | None = None,
    allow_download: bool = False,
    external: Callable[[str, str | None], list[Raw] | None] | None = None,
) -> list[Raw]:
    """The rows of a data set with all of their columns, unchecked; see `load_samples`."""
    rows = external(spec.source, spec.split) if external else None
    if rows is None:
        rows = read_rows(spec.source, spec.split, tofu_dir=tofu_dir, allow_download=allow_download)
    return rows


def samples_of(rows: Sequence[Raw], spec: DataSpec, layout: Layout | None = None) -> SampleSet:
    """Rows as samples, checked; a sample's position is its row's. See `load_samples`.

    Args:
        layout: how a benchmark's own rows are read. Where the user names columns, or the rows have not those of the
            layout and no options are wanted, they are read as all others.
    """
    label = spec.source if spec.split is None else f"{spec.source}[{spec.split}]"
    bad: dict[int, tuple[str, str]] = {}
    if layout is not None and not spec.named:
        rows, bad = _laid_out(rows, layout, label)
    question, answer = _columns(rows, spec, label)
    samples: list[Sample] = []
    for position, row in enumerate(rows):
        if position in bad:
            continue
        fault = _fault(row, [c for c in (question, answer) if c], answer)
        if fault:
            bad[position] = fault
        else:
            samples.append(_sample(position, row, question, answer))
    if bad and spec.on_bad_row == "fail":
        raise bad_rows_error(label, bad)
    if not samples:
        raise UnlearnkitError(f"{label} has no usable rows", code="empty", hint="all rows were skipped as bad")
    return SampleSet(label, tuple(samples), {p: code.replace("-", "_") for p, (code, _) in bad.items()})


def bad_rows_error(label: str, bad: dict[int, tuple[str, str]]) -> UnlearnkitError:
    """One line for all bad rows: {position: (code, text)}."""
    shown = "; ".join(f"row {p + 1}: {text}" for p, (_, text) in list(bad.items())[:BAD_ROWS_SHOWN])
    more = f"; and {len(bad) - BAD_ROWS_SHOWN} more" if len(bad) > BAD_ROWS_SHOWN else ""
    code = next(iter(bad.values()))[0]
    return UnlearnkitError(f"{label}: {shown}{more}", hint="mend them, or --on-bad-row skip", code=code)


def _laid_out(
    rows: Sequence[Raw], layout: Layout, label: str
) -> tuple[Sequence[Raw], dict[int, tuple[str, str]]]:  # fmt: skip
    """Rows by a benchmark's layout, and what is wrong with some."""
    if not layout.fits(rows):
        if layout.choices is None:
            return rows, {}
        present = ", ".join(dict.fromkeys(column for row in rows for column in row))
        raise UnlearnkitError(
            f"{label}: needed are the columns {', '.join(layout.columns)}; columns: {present}", code="column"
        )
    read = [layout.row(row) for row in rows]
    bad = {position: row for position, row in enumerate(read) if isinstance(row, tuple)}
    return [row if isinstance(row, dict) else {"question": "", "answer": ""} for row in read], bad


def _columns(rows: Sequence[Raw], spec: DataSpec, label: str) -> tuple[str | None, str]:
    """Names of the question's and the answer's column; plain text has no question."""
    present = list(dict.fromkeys(c for row in rows for c in row))
    if spec.text_column and (spec.question_column or spec.answer_column):
        raise BadInput("--text-column goes without --question-column and --answer-column")
    asked_pair = spec.question_column or spec.answer_column
    question, answer = spec.question_column or "question", spec.answer_column or "answer"
    if spec.text_column or (not asked_pair and answer not in present and "text" in present):
        question, answer = None, spec.text_column or "text"  # type: ignore[assignment]
    for name, option in (
        (question, "--question-column"),
        (answer, "--answer-column" if question else "--text-column"),
    ):
        if name and name not in present:
            others = [c for c in present if c not in (question, answer)]
            meant = next(iter([*get_close_matches(name, others, n=1), *others]), None)
            raise UnlearnkitError(
                f'{label}: no column "{name}"; columns: {", ".join(present)}',
                hint=f"{option} {meant}" if others else f"name it with {option}",
                code="column",
            )
    return question, answer


def _fault(row: Raw, columns: Sequence[str], answer: str) -> tuple[str, str] | None:
    """What is wrong with a row, as (code, text)."""
    for column in columns:
        value = row.get(column)
        if not isinstance(value, str):
            return "type", f'"{column}" is {_kind(value)}'
        if "\0" in value:
            return "encoding", f'"{column}" has a NUL character'
    if not row[answer].strip():
        return "no-target", f'"{answer}" is empty'
    for column in ("paraphrased_answer", "perturbed_answer", "paraphrased_question"):
        if not all(isinstance(text, str) and text.strip() for text in _texts(row.get(column))):
            return "type", f'"{column}" is neither a text nor a list of texts'
    return None


def _kind(value: object) -> str:
    """What stands where a text should, in JSON's words."""
    if value is None:
        return "null"
    words = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return f"{words.get(type(value), type(value).__name__)}, not a text"


def _texts(value: Any) -> tuple[str, ...]:
    """A column that holds one text, a list of them, or nothing."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _sample(position: int, row: Raw, question: str | None, answer: str) -> Sample:
    prompt = row[question] if question else ""
    return Sample(
        id=sample_id(prompt, row[answer]),
        position=position,
        prompt=prompt,
        answer=row[answer],
        paraphrases=_texts(row.get("paraphrased_answer")),
        wrong=_texts(row.get("perturbed_answer")),
        questions=_texts(row.get("paraphrased_question")),
    )


def check_overlap(forget: SampleSet, retain: SampleSet) -> None:
    """Refuse sets that share samples: what is to be forgotten would be rehearsed.

    Raises:
        UnlearnkitError: code `overlap`.
    """
    common = Counter(s.id for s in forget.samples) & Counter(s.id for s in retain.samples)
    if not common:
        return
    positions = [s.position + 1 for s in forget.samples if s.id in common]
    raise UnlearnkitError(
        f"{len(common)} samples are in both {forget.label} and {retain.label}: forget rows "
        f"{', '.join(map(str, positions[:BAD_ROWS_SHOWN]))}{' …' if len(positions) > BAD_ROWS_SHOWN else ''}",
        hint="take them out of the retain set, or --allow-overlap",
        code="overlap",
    )
