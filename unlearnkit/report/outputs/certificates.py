"""What a certificate says, and what checking one finds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from unlearnkit.report.outputs.base import Output, Part
from unlearnkit.report.outputs.numbers import Outcome


class CertifiedSet(Part):
    """A set of the run. `samples` are the hashes of what was to be forgotten, and of that set alone."""

    source: str | None
    """what it was called, without folders"""
    fingerprint: str
    """of the samples"""
    n: int
    """different samples"""
    left_out: dict[str, int]
    """rows that could not be used, by reason"""
    samples: list[str] = Field(default_factory=list)
    """ids"""


class CertifiedModel(Part):
    """Weights by content."""

    fingerprint: str
    """of weights, configuration and tokenizer"""
    source: str | None
    """what it was called, without folders"""
    architecture: str | None
    """by its configuration"""
    parameters: int | None
    """stored numbers, a tied one once"""
    read_again: bool = False
    """whether the fingerprint was computed anew when the certificate was issued"""


class CertifiedModels(Part):
    """What training began with, and what it wrote."""

    before: CertifiedModel
    """as the store names it"""
    after: CertifiedModel
    """as its folder is"""


class CertifiedRun(Part):
    """What was done."""

    id: str
    """of the run"""
    identity: str
    """hash of all that determines its result"""
    created: str
    """UTC, ISO 8601"""
    finished: str | None
    """UTC, ISO 8601"""
    exact: bool
    """whether it can be repeated to the bit in its environment"""
    algorithm: str
    """plugin"""
    options: dict[str, Any]
    """all of its options"""
    sampler: str
    """plugin"""
    sampler_options: dict[str, Any]
    """all of its options"""
    wrapper: str | None
    """plugin"""
    wrapper_options: dict[str, Any]
    """all of its options"""
    adapter: str | None
    """plugin"""
    adapter_options: dict[str, Any]
    """all of its options"""
    plan: dict[str, Any]
    """length, rate, batch, optimiser, precision"""
    threshold: float
    """nats per token from which a sample counts as forgotten"""
    template: str
    """how samples were put to the model"""
    seed: int
    """of order and dropout"""
    steps: int
    """optimiser steps taken"""
    step: int
    """the one whose weights are the model"""
    stopped_by: str
    """what ended it"""
    seconds: float
    """of training"""
    environment: dict[str, Any]
    """versions, device, threads"""
    command: str | None
    """without the user's folders; `null` for a call from Python"""


class CertifiedEvaluation(Part):
    """An evaluation of the model that was written."""

    run: str
    """id"""
    suite: str
    """which metrics"""
    before: str | None
    """the evaluation of the model before that asked the same"""
    n: int
    """samples that were to be forgotten, in it"""
    reference: str | None
    """the evaluation that it was held against, of a model that never saw the samples"""
    environment: dict[str, Any]
    """versions, device, threads"""


class CertifiedValue(Part):
    """A number with its 95 % interval."""

    value: float | None
    """the number"""
    low: float | None
    """of its interval"""
    high: float | None
    """of its interval"""
    n: int | None
    """samples"""
    reason: str | None
    """why it has no value: `not_measured`, or a word that `metrics` explains"""


class CertifiedNumber(Part):
    """A metric on a split, or a number over samples, before and after."""

    name: str
    """`split.metric`, or the number's name"""
    suite: str
    """of the evaluation"""
    before: CertifiedValue
    """of the model that training began with"""
    after: CertifiedValue
    """of the model that was written"""
    retain_only: float | None
    """what a model gets that never saw the samples"""
    direction: Literal["higher", "lower", "none"] = "none"
    """which way is better after unlearning"""
    unit: str = ""
    """such as `nats`"""
    definition: str = ""
    """the command that says it"""
    reference: str | None = None
    """the evaluation that a number over samples was held against"""


class CertifiedChange(Part):
    """In training, the samples' mean NLL, nats per label token."""

    first: float
    """when they were first seen"""
    last: float
    """when they were last seen"""


class CertifiedDifficulty(Part):
    """Which scores say how hard samples were to forget."""

    run: str
    """id of the scores"""
    scorer: str
    """with what was asked of it"""
    source: str
    """the paper"""
    high_means: str
    """its claim: `easy`, `hard` or `unknown`"""
    reliability: float | None
    """of the ranking"""
    n: int
    """samples that have one"""


class CertifiedAttack(Part):
    """An attack on the model that was written."""

    run: str
    """id"""
    attack: str
    """plugin"""
    options: dict[str, Any]
    """all of its options"""
    outcomes: list[Outcome]
    """what came back"""


class CertifiedSample(Part):
    """A sample that was to be forgotten."""

    sample: str
    """hash of its text"""
    difficulty: float | None
    """by the scores above"""
    stderr: float | None
    """its standard error"""
    before: float | None
    """the metric of the model before"""
    after: float | None
    """the metric of the model that was written"""
    worst: float | None
    """the worst that any attack made of it"""
    worst_attack: str | None
    """which one"""


class CertifiedSamples(Part):
    """One metric, sample by sample."""

    metric: str | None
    """the first of the suite's that has values"""
    evaluation: str | None
    """id"""
    rows: list[CertifiedSample]
    """in the order of the data"""


class Absent(Part):
    """Something that was not done or has no value."""

    what: str
    """in words"""
    why: str
    """or what follows from it"""


class Digest(Part):
    """By which a later change shows."""

    algorithm: Literal["sha256"]
    """of the canonical JSON without `digest` and `format`: sorted keys, no spaces, UTF-8"""
    value: str
    """hex"""


class Certificate(Output):
    """Rows are the metrics. The file has all but `format`."""

    kind: Literal["unlearnkit.certificate"]
    """what this is"""
    version: Literal[1]
    """of the certificate's schema"""
    issued: str
    """UTC, ISO 8601"""
    issued_by: str
    """this program and its version"""
    request: str | None
    """what it answers"""
    signed_by: str | None
    """a name, and no signature"""
    asked: dict[str, CertifiedSet]
    """sets by role: `forget`, `retain`"""
    run: CertifiedRun
    """what was done"""
    models: CertifiedModels
    """weights before and after"""
    evaluations: list[CertifiedEvaluation]
    """of the model that was written, the newest of each suite"""
    metrics: list[CertifiedNumber]
    """before and after"""
    training_nll: CertifiedChange | None
    """`null` where no sample was seen twice"""
    difficulty: CertifiedDifficulty | None
    """`null` where it was not scored"""
    attacks: list[CertifiedAttack]
    """that were tried"""
    samples: CertifiedSamples
    """one by one"""
    absent: list[Absent]
    """what was not done, attacks too, or has no value"""
    not_proven: list[str]
    """in sentences"""
    digest: Digest
    """by which a later change shows"""


class CertificateCheck(Part):
    """One thing that was looked at."""

    what: str
    """`digest`, `model`, or a key of the certificate"""
    ok: bool | None
    """`null` where it could not be looked at"""
    found: str
    """in words"""


class CertificateChecks(Output):
    """Rows are the checks."""

    checks: list[CertificateCheck]
    """everything that was looked at"""
