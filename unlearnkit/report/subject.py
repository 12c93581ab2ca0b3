"""What a page or a folder of charts is about: findings, the runs behind them, and a short name for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.runs.analyze.truth import method_name

if TYPE_CHECKING:
    from unlearnkit.report.collect import Evaluated, Findings
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run

LETTERS = {"eval": "#", "unlearn": "U", "finetune": "F", "score": "S", "attack": "A"}
TRAINED = ("unlearn", "finetune")


@dataclass(frozen=True)
class Subject:
    """Findings and the runs that they are about, oldest first. `marks` are short: "#2" is the second evaluation, as in
    a terminal's report, "U1" the first unlearning run."""

    place: Workplace
    found: Findings
    runs: Sequence[Run]
    marks: Mapping[str, str]

    @property
    def left_out(self) -> list[Run]:
        """Older runs that the page has nothing of."""
        return [run for run in self.found.left_out if run.id not in self.marks]

    def of_kind(self, kind: str) -> int:
        """How many runs of a kind it would be about, were none left out."""
        return sum(run.kind == kind for run in (*self.runs, *self.left_out))

    @property
    def trained(self) -> list[Run]:
        return [run for run in self.runs if run.kind in TRAINED]

    @property
    def evaluated(self) -> list[Evaluated]:
        """All evaluations, those that others were held against last where they are not among the others."""
        own = {e.run.id for e in self.found.evaluated}
        return [*self.found.evaluated, *(e for run, e in self.found.references.items() if run not in own)]

    def name(self, e: Evaluated) -> str:
        return f"{self.marks[e.run.id]} {e.label}"

    def run_name(self, run: Run) -> str:
        """Of a training run."""
        folder = str(run.summary.get("model_dir", run.method))
        told = method_name(run) if run.kind == "unlearn" else folder.rstrip("/").rsplit("/", 1)[-1]
        return f"{self.marks[run.id]} {told}"


def subject(place: Workplace, found: Findings, refs: Sequence[str]) -> Subject:
    """Findings with every run that they are about, and those that were named.

    Raises:
        NotFound, BadInput: a reference that means no run, or several.
    """
    store = place.reading()
    about = [*map(store.run, refs), *found.runs]
    for e in (*found.evaluated, *found.references.values()):
        about += [e.run, *filter(None, [e.writer])]
    runs = sorted({run.id: run for run in about}.values(), key=lambda run: (run.created, run.id))
    return Subject(place, found, runs, _marks(found, runs))


def _marks(found: Findings, runs: Sequence[Run]) -> dict[str, str]:
    """Evaluations are numbered as in a terminal's report, the others by age."""
    shown = [e.run.id for e in found.evaluated]
    evaluations = [*shown, *(run.id for run in runs if run.kind == "eval" and run.id not in shown)]
    ids = {kind: [run.id for run in runs if run.kind == kind] for kind in LETTERS} | {"eval": evaluations}
    return {run: f"{LETTERS[kind]}{i}" for kind, of in ids.items() for i, run in enumerate(of, 1)}
