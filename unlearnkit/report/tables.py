"""What each command shows in a terminal, as sheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from unlearnkit.report.curve import curve_sheet
from unlearnkit.report.listing import state
from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, shorten, significant, text

if TYPE_CHECKING:
    from unlearnkit.contracts import Scorer
    from unlearnkit.demo.run import Exchange
    from unlearnkit.plugins.fields import OptionInfo
    from unlearnkit.report.asserted import Clause
    from unlearnkit.report.collect import Evaluated, Findings, Third
    from unlearnkit.runs.definitions import Definition
    from unlearnkit.runs.evaluate import EvalReport, Figure
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.store import Store
    from unlearnkit.store.records import AggregateRow, Run, StepRow

REASONS = {
    "no_data": "no data: --data SPLIT=DATA, or the option of its name",
    "no_reference": "needs --reference: a model that never saw the forget set, or a run of one",
    "no_reference_truth_ratio": "the reference has no truth ratio",
    "no_scores": "the scores that it compares were not measured: on both --forget and --holdout",
    "no_reference_scores": "the reference lacks the scores that it compares",
    "zero_reference": "the reference's number is 0",
    "no_retain": "no retain set was evaluated: --retain, where the suite has that split",
    "no_forget": "needs --forget",
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
    "few_others": "too few --holdout samples: 1 / fpr of them, so 100 for an fpr of 0.01",
    "constant_score": "scores all equal",
    "constant_outcome": "samples all alike",
    "control_says_all": "length says all",
    "not_evaluated": "not in this evaluation",
    "one_only": "in one of the evaluations alone",
    "other_definition": "by another definition in each",
    "no_common_samples": "no sample in common",
    "recorded": "another program's number, which is not measured here",
}
"""What the words that stand for a missing value mean."""

SIDE_BY_SIDE = 4
"""Runs in one table, so that it fits 80 columns."""
NAME_WIDTH = 12
"""Of a run's column there."""


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
        sheet.add("forward passes", str(found.forward_passes))
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


def training_table(found: TrainingReport, steps: Sequence[StepRow]) -> Sheet:
    """First and last step of a training run, term by term."""
    sampler = f", sampler {found.sampler}" if found.sampler else ""
    title = f"{found.algorithm}{sampler}: {found.steps} steps in {found.seconds:.1f} s, ended by {found.stopped_by}"
    note = "" if found.step == found.steps else f"the model is that of step {found.step}"
    note += "".join(f", the best by {name}: {value:.4g}" for name, value in found.best.items())
    sheet = Sheet(title, fixed("term"), number("first step"), number("last step"), note=note.lstrip(", "))
    first = dict(steps[0].terms) if steps else {}
    for name, value in sorted(found.terms.items()):
        sheet.add(name, _term(first.get(name)), _term(value))
    return sheet


def _term(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


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


def _why(reason: str | None) -> str:
    return f"– ({REASONS.get(reason or '', reason)})"


def _aggregates(aggregates: Mapping[str, AggregateRow]) -> Sheet:
    sheet = Sheet("over samples", fixed("number"), text("value [95 % interval]"), number("n"))
    for name, row in aggregates.items():
        sheet.add(name, _with_interval(row), "" if row.n is None else str(row.n))
    return sheet


def run_tables(store: Store, run: Run, steps: Sequence[StepRow]) -> list[Sheet]:
    """One run in full."""
    sheet = Sheet(f"{run.kind} run {run.id}", fixed("what"), text("value"))
    model, asked = store.model(run.model), run.config.get("request", {})
    facts: dict[str, Any] = {
        "state": state(run),
        **({"tags": run.tags} if run.tags else {}),
        **({"note": run.note} if run.note else {}),
        "method": run.method,
        "model": f"{model.source if model else run.summary.get('label', '?')} ({run.model[:12]})",
        **{role: _data(store, fingerprint) for role, fingerprint in run.datasets.items()},
        **run.config.get("options", {}),
        **({"sampler": run.config["sampler"]} if "sampler" in run.config else {}),
        **{f"sampler {key}": value for key, value in asked.get("sampler_options", {}).items()},
        **run.config.get("plan", {}),
        **{SUMMARY.get(key, key): value for key, value in run.summary.items() if key != "terms"},
        **run.environment,
        "command": " ".join(run.argv) or "from Python",
        "created": run.created,
        "finished": run.finished,
        "error": f"[{run.error_code}] {run.error}" if run.error_code else None,
    }
    for key, value in facts.items():
        sheet.add(key, _shown(value))
    return [sheet, *_curve(steps)]


SUMMARY = {"model": "new model", "model_dir": "new model in"}
"""Facts of a summary under a plainer name."""


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _data(store: Store, fingerprint: str) -> str:
    data = store.dataset(fingerprint)
    return f"{data.label}, {data.n} samples ({fingerprint[:12]})" if data else fingerprint[:12]


def _curve(steps: Sequence[StepRow]) -> Iterator[Sheet]:
    """Some ten of the steps, the last among them."""
    if not steps:
        return
    names = sorted(steps[-1].terms)
    sheet = Sheet("steps", number("step"), *(number(name) for name in names))
    every = max(1, len(steps) // 10)
    for row in [s for i, s in enumerate(steps) if i % every == 0 or i == len(steps) - 1]:
        sheet.add(str(row.step), *(_term(row.terms.get(name)) for name in names))
    yield sheet


def info_table(info: Mapping[str, Any]) -> Sheet:
    """What is in the store."""
    sheet = Sheet("", fixed("what"), text("value"))
    for key, value in info.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        sheet.add(key, shown or "none")
    return sheet


# ------------------------------------------------------------------------------------------------------------- report


def report_tables(found: Findings) -> list[Sheet]:
    """Runs side by side, difficulty, and results by difficulty."""
    numbered = list(enumerate(found.evaluated, 1))
    sheets = [_evaluations(numbered)] if numbered else []
    against = {run: e.label for run, e in found.references.items()} | {e.run.id: f"#{i}" for i, e in numbered}
    sheets += [_side_by_side(some, reference, against) for some, reference in _with_references(found, numbered)]
    sheets += _not_there(numbered)
    if found.difficulty:
        sheets.append(_difficulty(found))
    for _, group in groupby(sorted(found.thirds, key=lambda t: t.score_run), key=lambda t: t.score_run):
        sheets += _by_thirds(numbered, list(group))
    if found.attacks:
        from unlearnkit.report.attacks import attack_sheets

        sheets += attack_sheets(found.attacks)
    return sheets + [curve_sheet(c) for c in found.curves]


Numbered = tuple[int, "Evaluated"]


def _not_there(numbered: Sequence[Numbered]) -> Iterator[Sheet]:
    """Numbers that evaluations lack, with why, and which evaluations do. What some were held against a reference for is
    not missed of the others, the reference among them."""
    compared = {row.name for _, e in numbered for row in e.aggregates if row.reference is not None}
    lack: dict[tuple[str, str], list[str]] = {}
    for i, e in numbered:
        numbers: list[tuple[str, Figure | AggregateRow]] = [*e.figures.items()]
        numbers += [(a.name, a) for a in e.aggregates if a.reference is not None or a.name not in compared]
        for name, of in numbers:
            if of.value is None:
                lack.setdefault((name, of.reason or "undefined"), []).append(f"#{i}")
    if lack:
        sheet = Sheet("not there", fixed(""), text("why"), text("in"))
        for (name, reason), runs in lack.items():
            sheet.add(name, REASONS.get(reason, reason), " ".join(runs))
        yield sheet


def _portions(numbered: Sequence[Numbered]) -> list[Sequence[Numbered]]:
    return [numbered[i : i + SIDE_BY_SIDE] for i in range(0, len(numbered), SIDE_BY_SIDE)]


def clauses_table(clauses: Sequence[Clause]) -> Sheet:
    """Conditions and what was found."""
    sheet = Sheet("asserted", fixed("condition"), text("value"), fixed("met"), label("model"), fixed("run"))
    for c in clauses:
        value = figure(c.value) if c.value is not None else _why(c.reason)
        sheet.add(str(c.condition), value, "yes" if c.met else "NO", c.label, c.run)
    return sheet


def _with_references(
    found: Findings, numbered: Sequence[Numbered]
) -> Iterator[tuple[Sequence[Numbered], Evaluated | None]]:
    """Evaluations that stand side by side, and the newest that any of them was held against, where that is elsewhere:
    it needs a column too."""
    start = 0
    while start < len(numbered):
        some = numbered[start : start + SIDE_BY_SIDE]
        if len(some) == SIDE_BY_SIDE > 1 and _elsewhere(some):
            some = some[:-1]
        yield some, found.references.get(_elsewhere(some) or "")
        start += len(some)


def _elsewhere(some: Sequence[Numbered]) -> str | None:
    shown = {e.run.id for _, e in some}
    return max((e.reference for _, e in some if e.reference is not None and e.reference not in shown), default=None)


def _evaluations(numbered: Sequence[Numbered]) -> Sheet:
    """Which run is behind each of the numbers that head the other tables."""
    sheet = Sheet("evaluations", fixed(""), label("model"), fixed("evaluated by run"), fixed("made by run"))
    for i, e in numbered:
        sheet.add(f"#{i}", e.label, e.run.id, e.writer.id if e.writer else "–")
    return sheet


def _heads(numbered: Sequence[Numbered]) -> Iterator[Any]:
    """A column each: its number, then the label with each of its parts on a line."""
    for i, e in numbered:
        yield number(_head(f"#{i}", e))


def _head(name: str, e: Evaluated) -> str:
    return "\n".join([name, *(shorten(part, NAME_WIDTH) for part in e.label.split(", "))])


ARROWS = {"higher": "↑", "lower": "↓"}
DEFINED = "definitions: unlearnkit metrics show NAME"
READING = f"↑ ↓: better after unlearning; {DEFINED}"
RETAIN_ONLY = "retain-only"


def _side_by_side(numbered: Sequence[Numbered], reference: Evaluated | None, against: Mapping[str, str]) -> Sheet:
    """Evaluations as columns, and one that they were held against. `against` names these."""
    held = {e.reference for _, e in numbered}
    heads = [number(_head(f"#{i}\n{RETAIN_ONLY}" if e.run.id in held else f"#{i}", e)) for i, e in numbered]
    heads += [number(_head(RETAIN_ONLY, reference))] if reference else []
    sheet = Sheet("what is known", label(""), fixed(""), *heads, note=READING)
    some = [e for _, e in numbered]
    every = [*some, *filter(None, [reference])]
    names = dict.fromkeys(name for e in some for name in e.figures)
    for split, of_split in groupby(names, key=lambda name: name.partition(".")[0]):
        sheet.add(f"{split} set", "", *("" for _ in every))
        for name in of_split:
            cells = (figure(e.figures[name].value) if name in e.figures else "" for e in every)
            sheet.add(f"  {name.partition('.')[2]}", _arrow(some, name), *cells)
    sheet.add("over samples", "", *("" for _ in every))
    values = {(e.run.id, a.name, a.reference): a.value for e in every for a in e.aggregates}
    compared = {a.name for e in some for a in e.aggregates if a.reference is not None}
    for name, held_against in dict.fromkeys((a.name, a.reference) for e in some for a in e.aggregates):
        if held_against is None and name in compared:
            continue
        versus = "" if held_against is None else f" vs {shorten(against[held_against], NAME_WIDTH)}"
        keys = [(e.run.id, name, held_against) for e in every]
        cells = (figure(values[key]) if key in values else "" for key in keys)
        sheet.add(f"  {name}{versus}", _arrow(some, name), *cells)
    return sheet


def _arrow(some: Sequence[Evaluated], name: str) -> str:
    return next((ARROWS.get(e.meanings[name].direction, "") for e in some if name in e.meanings), "")


def _difficulty(found: Findings) -> Sheet:
    columns = (number(name) for name in ("n", "lowest", "median", "highest", "reliab.", "unclear"))
    note = "unclear: share of samples with a score below twice its standard error"
    sheet = Sheet("difficulty", label("scores"), *columns, note=note)
    for d in found.difficulty:
        unclear = "–" if d.unclear is None else f"{d.unclear:.0%}"
        values = (significant(d.low), significant(d.median), significant(d.high), significant(d.reliability, 2))
        sheet.add(f"{d.scorer}: {d.label}", str(d.n), *values, unclear)
    return sheet


def _by_thirds(numbered: Sequence[Numbered], thirds: Sequence[Third]) -> Iterator[Sheet]:
    """The same split of the forget set under each evaluation."""
    values = {(t.eval_run, t.metric, t.third): t.value for t in thirds}
    ranked = f"{thirds[0].scorer}, run {thirds[0].score_run}"
    for some in _portions([(i, e) for i, e in numbered if any(t.eval_run == e.run.id for t in thirds)]):
        columns = (fixed(""), fixed("third"), *_heads(some))
        sheet = Sheet(
            "forget set by difficulty before unlearning",
            *columns,
            note=f"ranked by {ranked}; what its scorer calls {thirds[0].third} need not be so",
        )
        for metric, of_metric in groupby(dict.fromkeys((t.metric, t.third) for t in thirds), key=lambda pair: pair[0]):
            for i, pair in enumerate(of_metric):
                cells = (figure(values.get((e.run.id, *pair))) for _, e in some)
                sheet.add(metric if i == 0 else "", pair[1], *cells)
        yield sheet


def demo_tables(evaluations: Mapping[str, EvalReport], exchanges: Sequence[Exchange]) -> list[Sheet]:
    """The demo's last screen: what was forgotten, what was kept, in answers and in numbers."""
    said = Sheet("before and after", text("asked"), text("before"), text("after"))
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
