"""What each command shows in a terminal, as sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, shorten, significant, text

if TYPE_CHECKING:
    from unlearnkit.contracts import Scorer
    from unlearnkit.demo.run import Exchange
    from unlearnkit.plugins.fields import OptionInfo
    from unlearnkit.runs.definitions import Definition
    from unlearnkit.runs.evaluate import EvalReport
    from unlearnkit.runs.figures import Figure
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.store.records import AggregateRow

REASONS = {
    "not_measured": "not measured",
    "no_data": "no data: --data SPLIT=DATA, or the option of its name",
    "no_reference": "needs --reference, of a model that never saw the forget set",
    "no_reference_truth_ratio": "the reference has no truth ratio, or by another definition",
    "no_scores": "the scores that it compares were not measured on both splits, forget and holdout",
    "no_reference_scores": "the reference lacks the scores that it compares, or has them by another definition",
    "zero_reference": "the reference's number is 0",
    "no_retain": "no retain set was evaluated: it needs the split retain",
    "no_forget": "no forget set was evaluated: it needs the split forget",
    "no_wrong_answers": "the data have no wrong answers",
    "no_truth_ratio": "the data have no wrong answers",
    "no_target": "no token to measure",
    "too_long": "longer than the model takes",
    "no_prompt": "plain text: nothing was asked, so nothing was said",
    "no_words": "no word to measure",
    "too_short": "fewer words than are compared in a row",
    "no_prefix": "no samples to put before it, or no room for them",
    "zero_denominator": "known by heart: log-probability 0",
    "zero_spread": "a token that alone is possible: nothing to compare with",
    "nonfinite": "not a finite number",
    "ill_conditioned": "almost 0 divided by almost 0",
    "few_samples": "too few samples",
    "few_others": "too few holdout samples: 1 / fpr of them, so 100 for an fpr of 0.01",
    "constant_score": "scores all equal",
    "constant_outcome": "samples all alike",
    "control_says_all": "length says all",
    "not_evaluated": "not in this evaluation",
    "one_only": "in one of the evaluations alone",
    "other_definition": "by another definition in each",
    "no_common_samples": "no sample in common",
    "recorded": "another program's number, which is not measured here",
    "unrecorded": "the other program's log has no number there",
}
"""What the words that stand for a missing value mean."""

SIDE_BY_SIDE = 4
"""Runs in one table, so that it fits 80 columns."""
NAME_WIDTH = 12
"""Of a run's column there."""
ARROWS = {"higher": "↑", "lower": "↓"}
DEFINED = "definitions: unlearnkit metrics show NAME"
READING = f"↑ ↓: better after unlearning; {DEFINED}"


def plain_table(rows: Sequence[Mapping[str, Any]]) -> Sheet:
    """Rows as they are."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    sheet = Sheet("", *(text(name) for name in columns))
    for row in rows:
        sheet.add(*("" if row.get(c) is None else str(row[c]) for c in columns))
    return sheet


def options_table(options: Sequence[OptionInfo]) -> Sheet:
    """A plugin's options."""
    sheet = Sheet("", fixed("option"), text("takes"), fixed("default"), text("meaning"))
    for option in options:
        sheet.add(option.name, option.type, "required" if option.required else str(option.default), option.help)
    return sheet


def metrics_table(found: Sequence[Definition]) -> Sheet:
    """Metrics and aggregates, one a line."""
    note = "which way is better after unlearning: on the forget set, and on what is to be kept"
    columns = (fixed("name"), fixed("forget"), fixed("kept"), label("unit"), label("suites"))
    sheet = Sheet("metrics and numbers over samples", *columns, note=note)
    for d in found:
        forget, kept = (d.better.get(split, d.better.get("", "")) for split in ("forget", "retain"))
        sheet.add(d.name, forget, kept, d.unit, ", ".join(d.suites))
    return sheet


def facts_table(facts: Mapping[str, str]) -> Sheet:
    """Facts by name."""
    sheet = Sheet("", fixed(""), text(""))
    for name, value in facts.items():
        sheet.add(name, value)
    return sheet


# --------------------------------------------------------------------------------------------------------------- runs


def score_tables(found: ScoreReport, scorer: type[Scorer], show: int) -> list[Sheet]:
    """The hardest and the easiest samples, by what the scorer says a high value means."""
    ranked = sorted((s for s in found.samples if s.value is not None), key=lambda s: s.value or 0.0)
    low, high = ranked[:show], ranked[max(show, len(ranked) - show) :][::-1]
    low_name, high_name = {"easy": ("hardest", "easiest"), "hard": ("easiest", "hardest")}.get(
        scorer.high_means, ("lowest", "highest")
    )
    claim = (
        ""
        if scorer.high_means == "unknown"
        else f"high is {scorer.high_means} to forget, by the claim of {scorer.source}"
    )
    details = [name for name in dict.fromkeys(k for s in ranked for k in s.details) if not name.endswith("_stderr")]
    sheets = []
    for title, note, samples in (
        (f"{low_name} of {found.n} samples by {found.scorer}", claim, low),
        (high_name, "", high),
    ):
        if not samples:
            continue
        heads = (found.scorer, "± s.e.", *details)
        sheet = Sheet(title, number("row"), *(number(name) for name in heads), label("sample"), note=note)
        for s in samples:
            doubt = "" if s.status == "ok" else f"[{s.status}] "
            values = (significant(s.value), significant(s.stderr, 2), *(significant(s.details.get(d)) for d in details))
            sheet.add(str(s.position + 1), *values, doubt + shorten(s.prompt, 60))
        sheets.append(sheet)
    missing = [s for s in found.samples if s.value is None]
    if missing:
        sheet = Sheet(f"{len(missing)} without a value", number("row"), text("why"))
        for s in missing[:10]:
            sheet.add(str(s.position + 1), REASONS.get(s.status, s.status))
        sheets.append(sheet)
    return [*sheets, *_measurement(found)]


def _measurement(found: ScoreReport) -> Iterator[Sheet]:
    """What a score rests on: draws and their agreement, what it took, and options that the scorer chose by itself."""
    sheet = Sheet("measurement", fixed(""), text(""))
    if found.reliability is not None:
        sheet.add("reliability", f"{found.reliability:.2f}")
    if found.pairs:
        sheet.add("draws", str(found.pairs))
    if found.forward_passes:
        sheet.add("passes over the data", str(found.forward_passes))
    sheet.add("seconds", "not recorded" if found.seconds is None else f"{found.seconds:.1f}")
    if found.unclear is not None:
        sheet.add("unclear", f"{found.unclear:.0%} of the samples: below twice their standard error")
    shown = {f"{name} (chosen)": value for name, value in found.settled.items()}
    shown |= {name: value for name, value in found.found.items() if name not in found.settled}
    tables = {name: value for name, value in shown.items() if isinstance(value, list)}
    for name, value in shown.items():
        if name not in tables:
            sheet.add(name.replace("_", " "), significant(value) if isinstance(value, float) else _word(value))
    yield sheet
    for name, rows in tables.items():
        columns = list(rows[0]) if rows else []
        heads = sorted(columns, key=lambda head: head not in found.settled)  # what was chosen comes first
        table = Sheet(f"{name} to choose {', '.join(found.settled)}", *(number(head) for head in heads))
        for row in rows:
            table.add(*(significant(row[head]) for head in heads))
        yield table


def _word(value: Any) -> str:
    return "–" if value is None else str(value)


def evaluation_tables(found: EvalReport) -> list[Sheet]:
    """Every metric with its interval, the aggregates, and what is missing, with why."""
    heads = fixed("metric"), text("value [95 % interval]"), number("n")
    sheet = Sheet(f"{found.suite}: {found.model}", *heads, note="; ".join([*_made(found), DEFINED]))
    for name, f in found.metrics.items():
        sheet.add(name, _with_interval(f), str(f.n))
    sheets = [sheet, _aggregates(found.aggregates)] if found.aggregates else [sheet]
    if found.missing:
        missing = Sheet("not there", fixed(""), text("why"))
        for m in found.missing:
            missing.add(m.name, REASONS.get(m.reason, m.reason))
        sheets.append(missing)
    return sheets


def _made(found: EvalReport) -> Iterator[str]:
    """What a rule made up of each split."""
    words = {"paraphrases": "paraphrases", "wrong": "wrong answers"}
    for split, counts in found.made.items():
        told = " and ".join(f"{words[kind]} of {n} samples" for kind, n in counts.items() if n)
        yield f"{split}: {told} are made by rule"


def _with_interval(f: Figure | AggregateRow) -> str:
    if f.value is None:
        return "–"
    return figure(f.value) if f.low is None else f"{figure(f.value)}  [{figure(f.low)}, {figure(f.high)}]"


def _aggregates(aggregates: Mapping[str, AggregateRow]) -> Sheet:
    against = dict.fromkeys(row.reference for row in aggregates.values() if row.reference)
    note = f"held against {', '.join(against)}" if against else ""
    sheet = Sheet("over samples", fixed("number"), text("value [95 % interval]"), number("n"), note=note)
    for name, row in aggregates.items():
        sheet.add(name, _with_interval(row), "" if row.n is None else str(row.n))
    return sheet


def info_table(info: Mapping[str, Any]) -> Sheet:
    """What is in the store."""
    sheet = Sheet("", fixed("what"), text("value"))
    for key, value in info.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        sheet.add(key, shown or "none")
    return sheet


def demo_tables(evaluations: Mapping[str, EvalReport], exchanges: Sequence[Exchange]) -> list[Sheet]:
    """The demo's last screen: what was forgotten, what was kept, in answers and in numbers."""
    note = "before: the full model; after: the one unlearned with samples by MRD"
    said = Sheet("before and after", text("asked"), text("before"), text("after"), note=note)
    for exchange in exchanges:
        said.add(f"({exchange.split}) {exchange.question}", exchange.before, exchange.after)
    sheet = Sheet(
        "share of each answer's words that the model still says (ROUGE-L recall)",
        label("model"), number("to forget"), number("to keep"), number("utility"),
    )  # fmt: skip
    for name, found in evaluations.items():
        forget, retain = found.metrics["forget.rouge"], found.metrics["retain.rouge"]
        sheet.add(name, figure(forget.value), figure(retain.value), figure(found.aggregates["model_utility"].value))
    return [said, sheet]
