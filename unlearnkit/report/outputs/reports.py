"""What looking at the store prints: reports, comparisons, analyses."""

from __future__ import annotations

from typing import Literal

from unlearnkit.report.outputs.base import Output, Part
from unlearnkit.report.outputs.numbers import Aggregate, Condition, Direction, Meant, Metric, Outcome


class ReportedMetric(Metric):
    """A metric beside what a model gets that never saw the forget set."""

    retain_only: float | None
    """what the newest evaluation held against has"""


class ReportedAggregate(Aggregate):
    """A number over samples, and what it was held against."""

    reference: str | None
    """the evaluation held against"""
    retain_only: float | None
    """what the newest evaluation held against has"""


class Evaluated(Part):
    """An evaluation in a report."""

    run: str
    """id"""
    label: str
    """what its model is called"""
    model_run: str | None
    """the run that made the model"""
    metrics: dict[str, ReportedMetric]
    """by `split.metric`"""
    aggregates: dict[str, ReportedAggregate]
    """by name. Held against several, the name means the newest, and the others are `NAME vs RUN`"""


class Difficulty(Part):
    """Scores of a set under one model."""

    run: str
    """id of the score run"""
    scorer: str
    """its name, and in brackets what differs from the defaults"""
    label: str
    """the data and the model"""
    n: int
    """samples"""
    undefined: int
    """samples without a value"""
    low: float | None
    """lowest score"""
    median: float | None
    """median score"""
    high: float | None
    """highest score"""
    unclear: float | None
    """share below twice their standard error"""
    reliability: float | None
    """as in `score`"""
    clamped: int
    """tokens whose log-probability was clamped"""


class Third(Part):
    """A metric over a third of the forget set."""

    eval_run: str
    """id"""
    label: str
    """what the evaluation's model is called"""
    score_run: str
    """id of the scores that thirds are made by"""
    scorer: str
    """its name"""
    metric: str
    """its name"""
    third: str
    """`hard`, `middle` or `easy`, by the scorer's claim; else `low`, `middle` or `high`"""
    n: int
    """samples"""
    value: float
    """mean of the metric's terms"""


class Point(Part):
    """An evaluation on a run's way."""

    step: int
    """optimiser steps before it"""
    run: str
    """id of the evaluation"""
    values: dict[str, float | None]
    """by name"""


class Curve(Part):
    """A run that was evaluated on its way."""

    run: str
    """id"""
    label: str
    """algorithm and sampler"""
    step: int
    """the one whose weights are the model"""
    points: list[Point]
    """by steps"""


class ReportedAttack(Part):
    """An attack in a report."""

    run: str
    """id"""
    attack: str
    """its name"""
    label: str
    """what its model is called"""
    outcomes: list[Outcome]
    """as in `attack`"""
    curve: list[Condition]
    """as in `attack`"""


class ReportData(Part):
    """A report."""

    runs: list[Evaluated]
    """evaluations"""
    difficulty: list[Difficulty]
    """score runs"""
    thirds: list[Third]
    """results by difficulty"""
    curves: list[Curve]
    """runs that were evaluated on their way"""
    attacks: list[ReportedAttack]
    """attack runs"""


class Clause(Part):
    """A condition on one evaluation."""

    run: str
    """id"""
    condition: str
    """as it was typed"""
    value: float | None
    """what was found"""
    reason: str | None
    """why that is `null`"""
    met: bool
    """whether it holds"""


class Asserted(Part):
    """What `--assert` found."""

    text: str
    """as it was typed"""
    met: bool
    """whether all hold"""
    clauses: list[Clause]
    """one by one"""


class Report(ReportData, Output):
    """Rows are the figures of the evaluations."""


class AssertedReport(Report):
    """With `--assert`."""

    asserted: Asserted
    """what it found"""


class DemoModels(Part):
    """Folders."""

    full: str
    """the model that knows all"""
    retain: str
    """the one that never saw the forget set"""
    unlearned: dict[str, str]
    """by sampler"""


class DemoData(Part):
    """Files."""

    forget: str
    """path"""
    retain: str
    """path"""


class Demo(Output):
    """Rows are the report's runs."""

    store: str
    """path"""
    models: DemoModels
    """folders"""
    data: DemoData
    """files"""
    report: ReportData
    """as in `report`"""


class Side(Part):
    """One of two evaluations."""

    run: str
    """id"""
    label: str
    """what its model is called"""


class Shared(Part):
    """Samples of a split."""

    common: int
    """in both"""
    only_a: int
    """in A alone"""
    only_b: int
    """in B alone"""


class Difference(Meant):
    """A metric on the samples that both have."""

    split: str
    """its name"""
    metric: str
    """its name"""
    third: str | None
    """`null` for all samples"""
    n: int
    """samples in both"""
    a: float
    """mean of A"""
    b: float
    """mean of B"""
    difference: float
    """b − a"""
    low: float | None
    """of the 95 % interval"""
    high: float | None
    """of the 95 % interval"""
    higher: int
    """samples where B is higher"""
    lower: int
    """samples where B is lower"""
    ties: int
    """samples where they are equal"""
    p: float | None
    """of the sign test"""
    p_adjusted: float | None
    """by Holm, over all `tests`"""


class LeftOut(Part):
    """A number that is not compared."""

    name: str
    """`split.metric`"""
    reason: Literal["one_only", "other_definition", "no_common_samples"]
    """why"""


class Compared(Output):
    """Rows are the differences."""

    a: Side
    """the first evaluation"""
    b: Side
    """the second"""
    samples: dict[str, Shared]
    """by split"""
    tests: int
    """how many sign tests there are"""
    differences: list[Difference]
    """metric by metric, over all samples and then by thirds"""
    left_out: list[LeftOut]
    """what either has and is not compared"""
    scorer: str | None
    """of the scores that thirds are made by"""
    score_run: str | None
    """their run"""


# -------------------------------------------------------------------------------------------------------------- analyze


class Correlated(Part):
    """A rank correlation, alone and given the length of samples; intervals are 95 %."""

    n: int
    """samples"""
    rho: float | None
    """Spearman's ρ"""
    rho_low: float | None
    """of its interval"""
    rho_high: float | None
    """of its interval"""
    rho_reason: str | None
    """why it is `null`: `few_samples`, `constant_score`, `constant_outcome`"""
    given_length: float | None
    """partial ρ given label tokens"""
    given_length_low: float | None
    """of its interval"""
    given_length_high: float | None
    """of its interval"""
    given_length_reason: str | None
    """why it is `null`; also `control_says_all`"""


class Prediction(Correlated):
    """How well a score predicts updates to forget."""

    scorer: str
    """its name; `…/token`: divided by label tokens"""
    strongest: float
    """share of resamples in which its |ρ| is the largest"""


class Forgotten(Part):
    """An unlearning run that samples were looked at on."""

    run: str
    """id"""
    method: str
    """algorithm"""
    seed: int
    """of the run"""
    last: int
    """updates at the last look"""
    sweeps: int
    """looks at the whole set"""
    threshold_low: float
    """nats per label token"""
    threshold_high: float
    """nats per label token"""
    reference: str | None
    """the evaluation that thresholds are taken from"""
    never: int
    """samples not forgotten"""
    unknown_before: int
    """samples beyond their threshold before the first update"""


class Group(Part):
    """Runs that took one forget set out of one model."""

    model: str
    """fingerprint"""
    label: str
    """what the model is called"""
    data: str
    """what the set is called"""
    n: int
    """samples that every run looked at"""
    unseen: int
    """samples that a run never looked at"""
    runs: list[Forgotten]
    """the runs"""
    predictions: list[Prediction]
    """by strength"""
    by_method: dict[str, list[Prediction]]
    """the same by algorithm"""


class Sign(Part):
    """Whether a score's ρ keeps its sign."""

    scorer: str
    """its name"""
    signs: list[int | None]
    """a group each: 1, −1, 0 for unsure, `null`"""
    keeps: bool | None
    """`null` where fewer than two groups are sure"""


class DifficultyAnalysis(Output):
    """Rows are the predictions, with `model`, `data` and `method` (`all` or an algorithm)."""

    groups: list[Group]
    """one for each starting model and forget set"""
    signs: list[Sign]
    """score by score"""
    left_out: int
    """runs whose order scores drew"""


class Feature(Correlated):
    """What goes with a score."""

    feature: str
    """its name"""
    lowest_third: float | None
    """its median there"""
    highest_third: float | None
    """its median there"""


class Described(Part):
    """A sample with its score and features."""

    sample: str
    """hash of its text"""
    third: str
    """of the scores"""
    value: float
    """the score"""
    prompt: str | None
    """`null` where it is not at hand"""
    answer: str | None
    """`null` where it is not at hand"""
    features: dict[str, float | None]
    """by name"""


class SamplesAnalysis(Output):
    """Rows are the samples."""

    run: str
    """id of the scores"""
    scorer: str
    """its name"""
    high_means: Literal["easy", "hard", "unknown"]
    """its claim"""
    model: str
    """what the scores are about"""
    data: str
    """what the scores are about"""
    features: list[Feature]
    """by strength"""
    samples: list[Described]
    """from the lowest score"""


class Piece(Part):
    """A third of a forget set, or a set."""

    name: str
    """of the part"""
    n: int
    """samples"""
    low: float
    """lowest score"""
    high: float
    """highest score"""


class Ranked(Part):
    """A method's figures."""

    method: str
    """algorithm and sampler"""
    runs: list[str]
    """ids of the evaluations"""
    figures: dict[str, float]
    """by part, seeds averaged"""
    ranks: dict[str, float]
    """by part"""


class Agreement(Part):
    """How far two parts rank methods alike."""

    one: str
    """a part"""
    other: str
    """a part"""
    tau: float | None
    """Kendall's τ_b"""
    by_chance: float | None
    """of thirds: its mean between random parts"""
    as_low: float | None
    """of thirds: share of those, and of these, that agree no more: never 0"""


class RankingComparison(Part):
    """Methods on parts of different difficulty."""

    kind: Literal["thirds", "sets"]
    """`thirds`: one forget set read by thirds; `sets`: sets of their own"""
    model: str
    """what was unlearned from"""
    scorer: str
    """its name"""
    score_run: str
    """id"""
    parts: list[Piece]
    """from the lowest scores"""
    methods: list[Ranked]
    """methods"""
    agreements: list[Agreement]
    """two parts each"""


class BiasAnalysis(Output):
    """Rows are `kind`, `model`, `method`, `part`, `n`, the metric, `rank`."""

    metric: str
    """what methods are ranked by"""
    direction: Direction
    """which way is better"""
    comparisons: list[RankingComparison]
    """each model's"""
