"""Which sample each row of a log is, so that it stands beside one's own values of the same question.

Where the data are named, a row is one of theirs: by its texts, or where it has none, by its place. Without them its
texts make the sample; a row without texts is its place in a split of so
many rows of that form, which only another such log shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from unlearnkit.contracts import Sample
from unlearnkit.data.samples import SampleSet, ids_apart
from unlearnkit.errors import UnlearnkitError
from unlearnkit.runs.identity import digest
from unlearnkit.runs.imported.log import Row


def sample_set(form: str, split: str, rows: Sequence[Row], data: SampleSet | None, *, label: str) -> SampleSet:
    """The samples of a split's rows, one each, all different.

    Raises:
        UnlearnkitError: code `data`, where a row is none of the data's, or two rows are the same one.
    """
    if data is not None:
        return SampleSet(data.label, tuple(_matched(split, rows, data)), {})
    # A text that stands there again has rows of its own: its figures count twice, as in the log.
    ids = iter(ids_apart((row.prompt, row.answer) for row in rows if row.prompt is not None and row.answer is not None))
    samples: list[Sample] = []
    for position, row in enumerate(rows):
        if row.prompt is None or row.answer is None:
            samples.append(Sample(digest(form, split, len(rows), row.index)[:32], position, "", ""))
            continue
        samples.append(Sample(next(ids), position, row.prompt, row.answer))
    return SampleSet(label, tuple(samples), {})


def _matched(split: str, rows: Sequence[Row], data: SampleSet) -> list[Sample]:
    by_answer: dict[str, list[Sample]] = {}
    for one in data.samples:
        by_answer.setdefault(_bare(one.answer), []).append(one)
    by_position = {one.position: one for one in data.samples}
    found: list[Sample] = []
    for row in rows:
        sample: Sample | None
        if row.prompt is None or row.answer is None:
            sample = by_position.get(row.index)
        else:
            asked = _bare(row.prompt)
            fitting = (s for s in by_answer.get(_bare(row.answer), ()) if _bare(s.prompt) in asked)
            sample = max(fitting, key=lambda s: len(s.prompt), default=None)
        if sample is None:
            raise UnlearnkitError(
                f"{split}: row {row.index} of the log is no row of {data.label}",
                hint="name the data that were evaluated, or none: a row's texts then say what it is",
                code="data",
            )
        found.append(sample)
    if len({sample.id for sample in found}) < len(found):
        raise UnlearnkitError(f"{split}: two rows of the log are the same row of {data.label}", code="data")
    return found


def _bare(text: str) -> str:
    """A text without its blanks, which tokenizers change on the way."""
    return "".join(text.split())
