"""What lists, describes or writes things."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from unlearnkit.report.outputs.base import Output, Part


class File(Part):
    """A file of `split`."""

    file: str
    """path"""
    rows: int
    """in it"""
    low: float | None
    """lowest score"""
    high: float | None
    """highest score"""


class Split(Output):
    """Rows are the bins."""

    run: str
    """id of the scores"""
    scorer: str
    """its name"""
    high_means: str
    """`easy`, `hard` or `unknown`"""
    bins: list[File]
    """from the lowest scores"""
    unscored: int
    """rows without a score"""
    unscored_file: str | None
    """where they are"""
    skipped: int
    """bad rows"""


class Export(Output):
    """One row, the same."""

    what: str
    """`scores`, `results`, `generations`, `aggregates` or `steps`"""
    file: str
    """path"""
    rows: int
    """in it"""


class RunRow(Part):
    """A run."""

    run: str
    """id"""
    kind: str
    """`score`, `unlearn`, `finetune`, `eval` or `attack`"""
    method: str
    """scorer, algorithm, suite or attack"""
    sampler: str | None
    """of a run that trains"""
    state: str
    """`created`, `running`, `complete`, `failed`, `diverged` or `interrupted`"""
    created: str
    """UTC, ISO 8601"""
    finished: str | None
    """UTC, ISO 8601"""
    seed: int
    """of the run"""
    model_label: str
    """what its model is called"""
    data: dict[str, str]
    """what its data are called, by role"""
    tags: list[str]
    """in order"""
    note: str | None
    """what people say of it"""


class Remarks(Output):
    """One row, the same."""

    run: str
    """id"""
    tags: list[str]
    """that it has now"""
    note: str | None
    """that it has now"""


class Runs(Output):
    """Rows are the runs."""

    runs: list[RunRow]
    """newest first"""


class Step(Part):
    """An optimiser step; its terms stand beside it by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]

    step: int
    """from 1"""


class RunInFull(RunRow, Output):
    """Rows are `key` and `value`."""

    model: str
    """fingerprint of the model that it started from or looked at"""
    datasets: dict[str, str]
    """fingerprints by role"""
    config: dict[str, Any]
    """all that was asked for; not part of this contract"""
    environment: dict[str, Any]
    """versions, device, threads; not part of this contract"""
    argv: list[str]
    """the command; empty where it was called from Python"""
    parent: str | None
    """the run on whose behalf this one was made, or whose model it looks at"""
    exact: bool
    """whether it would come out again to the bit"""
    summary: dict[str, Any]
    """what it found; not part of this contract"""
    error: str | None
    """why it failed"""
    steps: list[Step]
    """of training"""


class DiffEntry(Part):
    """A value of two runs by its name."""

    part: str
    """`run`, `model`, `data`, `asked`, `configuration`, `environment` or `result`"""
    name: str
    """dotted"""
    a: Any
    """in the first run; `null` where it has none, or an undefined one whose `NAME.reason` says why"""
    b: Any
    """in the second"""
    same: bool
    """whether they are"""


class Diff(Output):
    """Rows are the entries."""

    a: str
    """id of the first run"""
    b: str
    """id of the second"""
    entries: list[DiffEntry]
    """what differs; with `--all` also what does not"""


class RerunPart(Part):
    """Values that a run left, first and again."""

    what: str
    """`terms of steps`, `draw orders`, `NLLs on the way`, `scores`, `results`, `texts`, `numbers` or `model`"""
    n: int
    """how many"""
    differing: int
    """how many came out otherwise"""
    most: float | None
    """by how much at most"""
    first: str | None
    """the first that did, in words"""


class WasNow(Part):
    """Two values."""

    was: Any
    """the first time"""
    now: Any
    """the second"""


class Rerun(Output):
    """Rows are the parts."""

    run: str
    """id"""
    same: bool
    """whether all of it came out the same, to the bit"""
    parts: list[RerunPart]
    """kinds of values"""
    environment: dict[str, WasNow]
    """what is not as it was the first time, by name"""


class Removed(Output):
    """One row, the same."""

    removed: str
    """id"""


class Offer(Part):
    """A plugin."""

    kind: str
    """what it is"""
    name: str
    """its name"""
    distribution: str
    """where it comes from"""
    version: str
    """of the distribution"""


class Broken(Part):
    """A plugin that could not be loaded."""

    plugin: str
    """its name"""
    distribution: str
    """where it comes from"""
    version: str
    """of the distribution"""
    cause: str
    """why"""


class Plugins(Output):
    """Rows are the plugins."""

    plugins: list[Offer]
    """by kind"""
    broken: list[Broken]
    """those that could not be loaded"""


class Option(Part):
    """A plugin's option."""

    name: str
    """as `-o` takes it"""
    type: str
    """in words"""
    default: Any
    """`null` where it must be given"""
    help: str
    """what it does"""
    required: bool
    """whether it must be given"""


class PluginInFull(Offer):
    """A plugin with what it says of itself."""

    summary: str
    """what it is for"""
    source: str
    """its paper"""
    recommended_sampler: str | None
    """of an algorithm: the one that did best with it"""
    example: str
    """a command that uses it"""
    options: list[Option]
    """all of them"""


class PluginsInFull(Output):
    """Rows are the options."""

    plugins: list[PluginInFull]
    """one for each kind that has the name"""


class Checked(Part):
    """What came of one name of a package."""

    kind: str
    """a kind of plugin, `tracker`, `hook`, or `package` for what belongs to no name"""
    name: str
    """of the plugin"""
    result: str
    """`passed`, `failed` or `skipped`"""
    cause: str
    """why it did not pass"""


class PackageChecked(Output):
    """Rows are the checks."""

    path: str
    """the package"""
    passed: bool
    """whether something passed, and nothing failed"""
    checks: list[Checked]
    """by name"""


class Completion(Output):
    """Rows have `script`."""

    shell: str
    """what it is for"""
    script: str
    """what the shell reads"""


class Written(Output):
    """Rows have `path`."""

    written: list[str]
    """paths"""


class SuiteRow(Part):
    """A suite."""

    name: str
    """its name"""
    about: str
    """what it measures"""
    source: str
    """its paper"""


class Suites(Output):
    """Rows are the suites."""

    suites: list[SuiteRow]
    """by name"""


class SplitOfSuite(Part):
    """Data that a suite reads."""

    name: str
    """its name"""
    about: str
    """what it is"""
    columns: list[str]
    """that rows have"""
    extra: list[str]
    """that rows may have"""
    metrics: list[str]
    """names"""
    template: str | None
    """its own"""
    behind: str | None
    """a split whose samples stand before these"""
    hub: str | None
    """where it is read from with `--hub`"""


class NumberOfSuite(Part):
    """A number over samples."""

    name: str
    """its name"""
    plugin: str
    """the aggregate"""
    needs_reference: bool
    """whether it needs a model that never saw the forget set"""
    better: str
    """which way"""


class Suite(SuiteRow, Output):
    """Rows are the splits."""

    splits: list[SplitOfSuite]
    """what it reads"""
    aggregates: list[NumberOfSuite]
    """numbers over samples"""


class Definition(Part):
    """What a number means."""

    name: str
    """as it stands in a report"""
    kind: str
    """`metric` or `aggregate`"""
    plugin: str
    """its name"""
    options: dict[str, Any]
    """as used under that name"""
    definition: str
    """in words"""
    better: dict[str, str]
    """by split; of an aggregate under `""`"""
    unit: str
    """empty for none"""
    source: str
    """its paper"""
    needs: list[str]
    """what is read of a sample"""
    needs_reference: bool
    """whether it needs a model that never saw the forget set"""
    suites: dict[str, list[str]]
    """that have it, to their splits"""


class Definitions(Output):
    """Rows are the metrics."""

    metrics: list[Definition]
    """metrics and aggregates"""


class StoreInfo(Output):
    """Rows are `key` and `value`."""

    path: str
    """file, or URL without its password"""
    uuid: str
    """of the store"""
    schema_: str = Field(alias="schema")
    """its revision"""
    bytes: int | None
    """of the file; `null` on a server"""
    rows: dict[str, int]
    """by table"""
    files: int
    """checkpoints"""
    file_bytes: int
    """of these"""
    runs: dict[str, int]
    """by state"""


class Finding(Part):
    """Something that was seen."""

    code: str
    """a stable word"""
    message: str
    """in words"""
    harmless: bool
    """whether it leaves the exit code at 0"""


class StoreCheck(Output):
    """Rows are the findings."""

    findings: list[Finding]
    """none in a sound store"""


class Taken(Part):
    """What a merge made of one kind of thing."""

    what: str
    """models, data, runs, …"""
    taken: int
    """new here"""
    present: int
    """here already"""
    refused: int
    """not equal to what is here"""


class StoreImport(Output):
    """Rows are `imported`."""

    store: str
    """the other's id"""
    dry_run: bool
    """whether nothing was written"""
    imported: list[Taken]
    """by kind of thing"""
    findings: list[Finding]
    """what was noted or refused"""


class Check(Part):
    """One thing looked at."""

    what: str
    """its name"""
    ok: bool
    """whether it works"""
    found: str
    """what there is"""


class Doctor(Output):
    """Rows are the checks."""

    checks: list[Check]
    """one by one"""
