"""Tables for the terminal. They fit 80 columns, and colour carries no meaning alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from unlearnkit.text import clean, shorten

if TYPE_CHECKING:
    from unlearnkit.contracts import Scorer
    from unlearnkit.report.collect import Findings
    from unlearnkit.runs.evaluate import EvalReport, Figure
    from unlearnkit.runs.score import ScoreReport
    from unlearnkit.runs.training import TrainingReport
    from unlearnkit.store import Store
    from unlearnkit.store.records import AggregateRow, Run, StepRow

REASONS = {
    "no_reference": "needs --reference: a run whose model never saw the forget set",
    "no_retain": "needs --retain",
    "no_wrong_answers": "the data have no wrong answers",
    "no_truth_ratio": "the data have no wrong answers",
    "no_target": "no token to measure",
    "zero_denominator": "known by heart: log-probability 0",
    "nonfinite": "not a finite number",
    "ill_conditioned": "almost 0 divided by almost 0",
}
"""What the words that stand for a missing value mean."""

SIDE_BY_SIDE = 4
"""Runs in one table, so that it fits 80 columns."""


def figure(value: float | None, digits: int = 3) -> str:
    """A number in a few characters; "–" where there is none."""
    if value is None:
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:.1e}"


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if i < left else "right", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(clean(cell)) for cell in cells))


def plain_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as they are."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = _table("", *columns, left=len(columns))
    for row in rows:
        _row(table, *("" if row.get(c) is None else str(row[c]) for c in columns))
    return table


def score_tables(found: ScoreReport, scorer: type[Scorer], show: int) -> list[Table]:
    """The hardest and the easiest samples, by what the scorer says a high value means."""
    defined = [s for s in found.samples if s.value is not None]
    ranked = sorted(defined, key=lambda s: s.value or 0.0)
    low, high = ranked[:show], ranked[max(show, len(ranked) - show) :][::-1]
    low_name, high_name = {"easy": ("hardest", "easiest"), "hard": ("easiest", "hardest")}.get(
        scorer.high_means, ("lowest", "highest")
    )
    claim = f" (by the claim of {scorer.source})" if scorer.high_means != "unknown" else ""
    reliability = f", reliability {found.reliability:.2f}" if found.reliability is not None else ""
    tables = []
    for name, samples, more in (
        (low_name, low, f"{claim}; {found.n} samples{reliability}"),
        (high_name, high, ""),
    ):
        table = _table(f"{found.scorer}: {name} to forget{more}", "row", found.scorer, "± s.e.", "sample", left=0)
        table.columns[-1].justify = "left"
        for s in samples:
            note = "" if s.status == "ok" else f" [{s.status}]"
            _row(
                table, str(s.position + 1), figure(s.value, 4), figure(s.stderr, 4),
                shorten(s.prompt, 44 - len(note)) + note,
            )  # fmt: skip
        tables.append(table)
    missing = [s for s in found.samples if s.value is None]
    if missing:
        table = _table("without a value", "row", "why", left=2)
        for s in missing[:10]:
            _row(table, str(s.position + 1), REASONS.get(s.status, s.status))
        tables.append(table)
    return tables


def training_table(found: TrainingReport, steps: Sequence[StepRow]) -> Table:
    """First and last step of a training run, term by term."""
    sampler = f", sampler {found.sampler}" if found.sampler else ""
    title = f"{found.algorithm}{sampler}: {found.steps} steps in {found.seconds:.1f} s, ended by {found.stopped_by}"
    table = _table(title, "term", "first step", "last step")
    first = dict(steps[0].terms) if steps else {}
    for name, value in sorted(found.terms.items()):
        _row(table, name, figure(first.get(name)), figure(value))
    return table


def _with_interval(f: Figure) -> str:
    return figure(f.value) if f.low is None else f"{figure(f.value)}  [{figure(f.low)}, {figure(f.high)}]"


def evaluation_tables(found: EvalReport) -> list[Table]:
    """Every metric with its interval, and the aggregates."""
    table = _table(f"{found.suite}: {found.model}", "metric", "value [95 % interval]", "n", left=1)
    for name, f in found.metrics.items():
        _row(table, name, _with_interval(f) if f.value is not None else _why(f.reason), str(f.n))
    return [table, _aggregates_table(found.aggregates)]


def _aggregates_table(aggregates: Mapping[str, AggregateRow]) -> Table:
    table = _table("over samples", "number", "value", left=2)
    for name, row in aggregates.items():
        _row(table, name, figure(row.value) if row.value is not None else _why(row.reason))
    return table


def _why(reason: str | None) -> str:
    return f"– ({REASONS.get(reason or '', reason)})"


def report_tables(found: Findings) -> list[Table]:
    """Runs side by side, difficulty, and results by difficulty."""
    tables = []
    for i in range(0, len(found.evaluated), SIDE_BY_SIDE):
        tables.append(_side_by_side(found, i))
    if found.difficulty:
        tables.append(_difficulty(found))
    tables += _thirds(found)
    return tables


def _side_by_side(found: Findings, start: int) -> Table:
    some = found.evaluated[start : start + SIDE_BY_SIDE]
    table = _table("what is known", "", *(f"{shorten(e.label, 18)}\n…{e.run.id[-6:]}" for e in some))
    for name in dict.fromkeys(name for e in some for name in e.figures):
        _row(table, name, *(figure(e.figures[name].value) if name in e.figures else "" for e in some))
    for name in dict.fromkeys(name for e in some for name in e.aggregates):
        _row(table, name, *(figure(e.aggregates[name].value) if name in e.aggregates else "" for e in some))
    return table


def _difficulty(found: Findings) -> Table:
    table = _table("difficulty before unlearning", "scores", "n", "lowest", "median", "highest", "reliab.", "unclear")
    for d in found.difficulty:
        unclear = "–" if d.unclear is None else f"{d.unclear:.0%}"
        _row(
            table, f"{d.run.method}: {shorten(d.label, 30)}", str(d.n), figure(d.low), figure(d.median),
            figure(d.high), figure(d.reliability, 2), unclear,
        )  # fmt: skip
    return table


def _thirds(found: Findings) -> list[Table]:
    tables = []
    for e in found.evaluated:
        rows = [t for t in found.thirds if t.eval_run == e.run.id]
        if not rows:
            continue
        thirds = list(dict.fromkeys(t.third for t in rows))
        title = f"forget set by difficulty: {shorten(e.label, 30)} …{e.run.id[-6:]}"
        table = _table(title, "metric", *(f"{third} third" for third in thirds))
        for metric in dict.fromkeys(t.metric for t in rows):
            cells = {t.third: figure(t.value) for t in rows if t.metric == metric}
            _row(table, metric, *(cells.get(third, "–") for third in thirds))
        tables.append(table)
    return tables


def demo_tables(evaluations: Mapping[str, EvalReport]) -> list[Table]:
    """The demo's last screen: what was forgotten, what was kept."""
    table = _table("answers right, word for word (ROUGE-L recall)", "model", "forgotten", "kept", "utility")
    for name, found in evaluations.items():
        forget, retain = found.metrics["forget.rouge"], found.metrics["retain.rouge"]
        _row(table, name, figure(forget.value), figure(retain.value), figure(found.aggregates["model_utility"].value))
    return [table]


def runs_table(runs: Sequence[Run]) -> Table:
    """Runs, one a line."""
    table = _table("", "run", "kind", "method", "state", "when", left=5)
    for run in runs:
        sampler = run.config.get("sampler")
        state = run.status if run.exact else f"{run.status}, inexact"
        _row(
            table,
            run.id,
            run.kind,
            f"{run.method}{(sampler and f', {sampler}') or ''}",
            state,
            run.created[:16],
        )
    return table


def run_tables(store: Store, run: Run, steps: Sequence[StepRow]) -> list[Table]:
    """One run in full."""
    table = _table(f"{run.kind} run {run.id}", "what", "value", left=2)
    model = store.model(run.model)
    facts = {
        "state": run.status if run.exact else f"{run.status}, inexact",
        "method": run.method,
        "model": f"{model.source if model else '?'} ({run.model[:12]})",
        **{role: _data(store, fingerprint) for role, fingerprint in run.datasets.items()},
        **{key: str(value) for key, value in run.config.get("options", {}).items()},
        **{key: str(value) for key, value in run.config.get("plan", {}).items()},
        **{key: str(value) for key, value in run.summary.items() if key != "terms"},
        **{key: str(value) for key, value in run.environment.items()},
        "command": " ".join(run.argv) or "from Python",
        "created": run.created,
        "finished": run.finished or "–",
        "error": f"[{run.error_code}] {run.error}" if run.error_code else "–",
    }
    for key, value in facts.items():
        _row(table, key, value)
    if not steps:
        return [table]
    curve = _table("steps", "step", *sorted(steps[-1].terms), left=0)
    every = max(1, len(steps) // 10)
    for row in [s for i, s in enumerate(steps) if i % every == 0 or i == len(steps) - 1]:
        _row(curve, str(row.step), *(figure(row.terms[name]) for name in sorted(row.terms)))
    return [table, curve]


def _data(store: Store, fingerprint: str) -> str:
    data = store.dataset(fingerprint)
    return f"{data.label}, {data.n} samples ({fingerprint[:12]})" if data else fingerprint[:12]


def info_table(info: Mapping[str, Any]) -> Table:
    """What is in the store."""
    table = _table("", "what", "value", left=2)
    for key, value in info.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        _row(table, key, text or "none")
    return table
