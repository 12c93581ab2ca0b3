"""What measuring prints: scores, training, evaluations, attacks, sweeps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from unlearnkit.report.outputs.base import Output, Part
from unlearnkit.report.outputs.plans import Total

Direction = Literal["higher", "lower", "none"]


class SampleScore(Part):
    """A sample's score. Further figures of the scorer stand beside it by name (`mrd`: `curvature`,
    `curvature_stderr`)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    sample: str
    """hash of its text; empty for a row that was skipped"""
    position: int
    """row in the data, from 0"""
    value: float | None
    """the score"""
    stderr: float | None
    """its standard error"""
    status: str
    """`ok`, or why there is no value or little trust in it"""


class Score(Output):
    """Rows are the samples."""

    run: str
    """id of the score run"""
    scorer: str
    """the scorer's name"""
    options: dict[str, Any]
    """all of its options, as asked for"""
    settled: dict[str, Any]
    """the options that the scorer chose by itself (`sigma=auto`), as chosen"""
    found: dict[str, Any]
    """what it saw when it chose; for `mrd`: `sigma`, `check` (`quadratic` or why not), `ratio`, `deviation`, `signal`,
    `floor` (round-off), `signal_to_floor`, `walked`"""
    n: int
    """samples scored, each text once"""
    computed: int
    """pieces of work (one draw over one shard of samples) computed now"""
    from_store: int
    """pieces that were in the store"""
    reliability: float | None
    """−1 … 1: how far as many fresh draws would rank the samples alike"""
    pairs: int
    """draws that the scores are made from (for `mrd`, pairs ±δ)"""
    forward_passes: int
    """passes over the data in them; 0 for a scorer that reads no model"""
    seconds: float | None
    """of measuring them, whichever run and worker did it; `null` where that was not recorded"""
    unclear: float | None
    """share of samples whose value is below twice its standard error"""
    samples: list[SampleScore]
    """one for each row of the data"""


class Training(Output):
    """Rows are the steps: `step` and its terms."""

    run: str
    """id"""
    algorithm: str
    """its name"""
    sampler: str | None
    """its name; `null` for `finetune`"""
    model_dir: str
    """folder of the new model"""
    steps: int
    """optimiser steps"""
    stopped_by: str
    """what ended them: `epochs`, `max_steps`, `all_forgotten` (a sampler that draws for every step had nothing left),
    `until CONDITION: VALUE` or `keep CONDITION: VALUE`"""
    step: int
    """the one whose weights are the model: `steps`, but for `--keep` and `--best`"""
    seconds: float
    """of training, over all parts of a resumed run"""
    best: dict[str, float]
    """with `--best`, its name and value there; else empty"""
    unmet: dict[str, float | None]
    """where something else ended the run: the conditions of `--until`, with the last look's value (`null` for none)"""
    evaluations: dict[str, str]
    """eval runs on the way, by optimiser steps"""
    terms: dict[str, float]
    """the last step's: `loss`, its terms by name, `lr`, `grad_norm`, …"""


class Mean(Part):
    """A number over seeds."""

    mean: float
    """over the seeds where it is defined"""
    sd: float | None
    """standard deviation; `null` for one seed"""
    n: int
    """seeds where it is defined"""


class Choice(Part):
    """What a sweep combines."""

    plugin: str
    """the algorithm"""
    sampler: str
    """its name"""
    wrapper: str | None
    """its name; `null` for none"""
    options: dict[str, Any]
    """the algorithm's"""
    sampler_options: dict[str, Any]
    """the sampler's"""
    wrapper_options: dict[str, Any]
    """the wrapper's"""
    lr: float
    """learning rate"""


class Combination(Choice):
    """A combination with a complete run."""

    seeds: list[int]
    """of its complete runs"""
    values: dict[str, Mean]
    """`eval`'s numbers, `steps` and `seconds`, by name"""


class Swept(Choice):
    """A run of a sweep. `steps`, `seconds` and `eval`'s numbers stand beside its keys by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    seed: int
    """of order and dropout"""
    state: str
    """the run's, `lacking` or `not evaluated`"""
    run: str | None
    """id"""
    evaluation: str | None
    """id of its eval run"""
    reason: str | None
    """why it is not complete"""


class Sweep(Output):
    """Rows are the runs."""

    combinations: list[Combination]
    """means over seeds"""
    runs: list[Swept]
    """every run"""
    plan: Total | None
    """with `--dry-run`, what the runs that are left take; else `null`"""


class Meant(Part):
    """What a number means; absent where its plugin is not there any more."""

    direction: Direction = "none"
    """which way is better after unlearning"""
    unit: str = ""
    """such as `nats`; empty for none"""
    definition: str = ""
    """the command that says it"""


class Metric(Meant):
    """A metric over a split."""

    value: float | None
    """mean of its per-sample terms"""
    n: int
    """samples where it is defined"""
    low: float | None
    """of the 95 % interval"""
    high: float | None
    """of the 95 % interval"""


class Aggregate(Meant):
    """A number over samples."""

    value: float | None
    """the number"""
    n: int | None
    """samples that it is made from"""
    low: float | None
    """of the 95 % interval"""
    high: float | None
    """of the 95 % interval"""
    reason: str | None
    """why there is no value"""


class Missing(Part):
    """What a suite has and an evaluation lacks."""

    name: str
    """a split, `split.metric` or an aggregate"""
    reason: str
    """a stable word"""


class EvaluationData(Part):
    """An evaluation."""

    run: str
    """id"""
    model: str
    """what was named"""
    suite: str
    """its name"""
    computed: int
    """samples measured now, over all splits"""
    from_store: int
    """samples that were in the store"""
    metrics: dict[str, Metric]
    """by `split.metric`"""
    aggregates: dict[str, Aggregate]
    """by name"""
    made: dict[str, dict[str, int]]
    """by split: of how many samples `paraphrases` and `wrong` answers were made by rule"""
    missing: list[Missing]
    """what the suite has and this lacks"""


class Evaluation(EvaluationData, Output):
    """Rows have `name` and the keys of `metrics` and `aggregates`."""


class Imported(Output):
    """Several logs; one alone is as `eval`. Rows have `run` too."""

    imported: list[EvaluationData]
    """one for each log; `computed` are rows that are new, `from_store` those that were there"""


class Outcome(Part):
    """What an attack did to a metric on a group of samples."""

    metric: str
    """its name"""
    samples: Literal["all", "others", "shown"]
    """`all`; or, where the attack teaches some, `shown` for these and `others`"""
    n: int
    """samples"""
    before: float
    """mean without the attack"""
    under: float
    """mean of what the worst condition makes of each sample"""
    rise: float
    """mean of the difference; positive: something came back"""
    rise_low: float | None
    """of the 95 % interval"""
    rise_high: float | None
    """of the 95 % interval"""
    returned: float | None
    """share of samples that come back"""
    reference: str | None
    """the reference's run"""
    reference_before: float | None
    """the reference's mean without the attack"""
    reference_under: float | None
    """the reference's mean under the same attack"""
    beyond: float | None
    """share of samples above the reference"""
    excess: float | None
    """mean of the difference to the reference"""
    excess_low: float | None
    """of the 95 % interval"""
    excess_high: float | None
    """of the 95 % interval"""


class Condition(Part):
    """A metric's mean under one condition."""

    condition: str
    """`before`, a condition's name, or `best-of-N` of attempts"""
    metric: str
    """its name"""
    samples: Literal["all", "others", "shown"]
    """as in `outcomes`"""
    n: int
    """samples"""
    value: float
    """the mean"""
    reference: float | None
    """the same of the reference"""


class Attack(Output):
    """Rows are the outcomes."""

    run: str
    """id"""
    attack: str
    """its name"""
    model: str
    """what was attacked"""
    options: dict[str, Any]
    """all of the attack's"""
    reference: str | None
    """the same attack's run on the reference"""
    computed: int
    """samples measured now, over all conditions, the reference's too"""
    from_store: int
    """samples that were in the store"""
    outcomes: list[Outcome]
    """a metric on a group of samples each"""
    curve: list[Condition]
    """condition by condition"""
