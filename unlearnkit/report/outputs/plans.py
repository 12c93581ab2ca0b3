"""What a dry run prints."""

from __future__ import annotations

from typing import Any, Literal

from unlearnkit.report.outputs.base import Output, Part


class PlannedModel(Part):
    """The model of a plan."""

    label: str
    """what was named"""
    architecture: str
    """by its configuration"""
    parameters: int
    """stored numbers, a tied one once"""
    context: int | None
    """tokens that it takes"""
    fingerprint: str
    """of its content"""


class PlannedData(Part):
    """A set of a plan."""

    role: str
    """`forget`, `retain`, `data`, or a split"""
    source: str
    """what was named"""
    n: int
    """samples"""
    tokens: int | None
    """in all of them with their answers; `null` for a set that is read as text"""
    label_tokens: int | None
    """those that are scored or learnt"""
    bad_rows: int
    """rows that are left out"""
    fingerprint: str
    """of the samples"""


class PlannedOption(Part):
    """An option as it is resolved."""

    name: str
    """as the Python call has it"""
    value: Any
    """as it is used"""
    origin: Literal["given", "default", "settings", "derived"]
    """where it is from; `derived`: from method, model and data"""


class PlannedTime(Part):
    """How long something takes."""

    low: float
    """seconds"""
    high: float | None
    """seconds, null where there may be more work than is counted"""
    basis: str
    """what the bounds rest on"""


class Stage(Part):
    """A part of the work. All but `of` and `have` is about what is left."""

    name: str
    """what is done"""
    unit: str
    """what is counted"""
    of: int
    """units in all"""
    have: int
    """units that come from the store"""
    left: int
    """units that are to be made"""
    forward: int
    """passes of the model over batches"""
    backward: int
    """those of them that a gradient is taken of"""
    texts: int
    """samples in them"""
    tokens: int
    """tokens in them"""
    bound: Literal["exact", "least", "most", "about"]
    """whether passes, texts and tokens are exact, what there will be at least or at most, or neither"""
    note: str
    """what else there is to say"""
    seconds: PlannedTime | None
    """of what is left"""


class Bounds(Part):
    """Seconds of a whole plan."""

    low: float
    """at least"""
    high: float | None
    """at most, null where a stage has no upper bound"""


class PlannedMemory(Part):
    """Bytes."""

    parts: dict[str, int]
    """by what needs them"""
    total: int
    """of all"""
    device: str
    """where"""
    free: int | None
    """there"""
    fits: bool | None
    """whether that is enough"""


class PlannedDisk(Part):
    """Bytes."""

    parts: dict[str, int]
    """by what needs them"""
    total: int
    """of all"""
    free: int
    """where they go"""


class Total(Part):
    """What some runs take together."""

    runs: int
    """how many"""
    stages: list[Stage]
    """of all of them; what they share once"""
    seconds: Bounds | None
    """of all stages"""
    memory: PlannedMemory
    """of the largest"""
    disk: PlannedDisk
    """when all have ended"""


class Plan(Output):
    """With `--dry-run`. Rows are the stages."""

    dry_run: Literal[True]
    """nothing was done"""
    command: str
    """`score`, `unlearn`, `finetune`, `eval` or `attack`"""
    status: Literal["new", "resume", "complete", "busy"]
    """how the run stands; `busy`: another process works on it"""
    run: str | None
    """its id, where the store has it"""
    step: int | None
    """the one that training would go on from"""
    says: str
    """the same in a sentence"""
    model: PlannedModel
    """what it is about"""
    data: list[PlannedData]
    """sets"""
    template: str
    """how samples are put to the model"""
    out: str | None
    """where a model goes"""
    options: list[PlannedOption]
    """every one that has a value"""
    stages: list[Stage]
    """the work; none where nothing would be computed"""
    seconds: Bounds | None
    """of all stages"""
    memory: PlannedMemory
    """at its highest"""
    disk: PlannedDisk
    """in the end"""
    warnings: list[str]
    """what would stop the command on its way"""
