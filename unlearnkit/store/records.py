"""What crosses the border of the store: frozen dataclasses, no SQL, no sessions.

Fingerprints and digests are lower-case hex SHA-256. Times are UTC, ISO 8601. A value that does not exist is None, with
a `status` that says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unlearnkit.notebook import facts

Kind = Literal["score", "unlearn", "finetune", "eval", "attack"]
State = Literal["created", "running", "complete", "failed", "diverged"]


@dataclass(frozen=True)
class Model:
    """Weights, configuration and tokenizer, by content. `source` is a label, never an address to load from."""

    fingerprint: str
    source: str
    architecture: str
    parameters: int


@dataclass(frozen=True)
class Row:
    """One row of a data set. `sample` is None where the row could not be used; `status` then says why.

    `prompt` and `answer` are kept only where the user asked for texts to be stored."""

    position: int
    sample: str | None
    tokens: int | None = None
    status: str = "ok"
    prompt: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Dataset:
    """An ordered set of samples. `fingerprint` is a hash of the samples' ids in order."""

    fingerprint: str
    label: str
    n: int


@dataclass(frozen=True)
class Run:
    """One score, unlearn, finetune, eval or attack. `identity` is a hash of all that determines its result; a run of
    the same kind and identity is the same run."""

    id: str
    kind: Kind
    identity: str
    state: State
    method: str
    """What it applied: the scorer, algorithm, suite or attack."""
    model: str
    """Fingerprint of the model that it started from or looked at."""
    datasets: Mapping[str, str]
    """Role ("forget", "retain", "data", …) to data set fingerprint."""
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    argv: tuple[str, ...] = ()
    seed: int = 0
    parent: str | None = None
    """The run on whose behalf this one was made, or whose model it looks at."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True
    created: str = ""
    beat: str = ""
    finished: str | None = None
    error_code: str | None = None
    error: str | None = None
    series: str | None = None
    """Key of what runs share: the stored draws that a score run reduces, where runs differ in the reduction alone, or
    the generated answers that an unlearn run reads."""
    note: str | None = None
    tags: tuple[str, ...] = ()
    """What people call it, sorted; see `Store.tag`."""
    alive: bool = False
    """Whether a process works on it now: derived when read."""

    @property
    def status(self) -> str:
        """`state`, but "interrupted" where a signal stopped it, or it says running and nobody works on it."""
        stopped = self.error_code == "interrupted" or (self.state == "running" and not self.alive)
        return "interrupted" if stopped else self.state

    def _repr_html_(self) -> str:
        shown = {"kind": self.kind, "method": self.method, "sampler": self.config.get("sampler"), "state": self.status}
        shown |= {"created": self.created, "finished": self.finished, "error": self.error}
        return facts(f"run {self.id}", {name: value for name, value in shown.items() if value is not None})


@dataclass(frozen=True)
class ScoreRow:
    sample: str
    value: float | None
    stderr: float | None
    n: int
    status: str = "ok"
    clamped: int = 0
    """Label tokens so certain that their log-probability was clamped in a denominator."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Other figures of the same measurement, by name."""


@dataclass(frozen=True)
class StepRow:
    """An optimiser step: `terms` holds loss, its terms, learning rate, gradient norm."""

    step: int
    terms: Mapping[str, float]


@dataclass(frozen=True)
class ProbeRow:
    """A forget sample during training: its mean NLL (nats per label token) under the weights after `updates` optimiser
    steps; None where it was not finite. From a sweep of the whole set, or from the step that trained on it next."""

    updates: int
    sample: str
    nll: float | None
    swept: bool


@dataclass(frozen=True)
class OrderRow:
    """The order of one epoch: which score run weighted it (None: none did), and a digest of the indices."""

    epoch: int
    scores: str | None
    digest: str


@dataclass(frozen=True)
class Checkpoint:
    """Training state after `step` optimiser steps: a file of tensors by content, and the rest as JSON."""

    step: int
    file: str
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Anchor:
    """What the starting weights say of a sample: summed log-probability of its label tokens, nats."""

    sample: str
    logprob: float
    tokens: int


@dataclass(frozen=True)
class Result:
    """A metric's value for one sample of one split."""

    split: str
    metric: str
    sample: str
    value: float | None
    status: str = "ok"


@dataclass(frozen=True)
class Generation:
    split: str
    sample: str
    text: str


@dataclass(frozen=True)
class AggregateRow:
    """One number for a run, over `n` samples, with the bounds of its 95 % interval where it has one. `reference` is the
    eval run it was held against, where it needs one."""

    name: str
    value: float | None
    reason: str | None = None
    n: int | None = None
    reference: str | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FigureRow:
    """A metric over a split of an evaluation: mean of its terms over `n` samples, bounds of its 95 % interval, or the
    reason why there is none. Without a value and a reason nothing was measured. `key` is of what defines it.

    With `third` it is over that third of the samples by the score run `scores`."""

    split: str
    metric: str
    third: str
    key: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    scores: str = ""


@dataclass(frozen=True)
class Event:
    at: str
    code: str
    message: str


@dataclass(frozen=True)
class Finding:
    """Something that `store check` found. `harmless` findings do not change the exit code."""

    code: str
    message: str
    harmless: bool = False
