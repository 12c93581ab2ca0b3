"""What `analyze` and `split` show in a terminal, as sheets; each says how its numbers were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unlearnkit.report.sheet import Sheet, figure, fixed, label, number, shorten, significant, text
from unlearnkit.report.tables import NAME_WIDTH, REASONS, SIDE_BY_SIDE

if TYPE_CHECKING:
    from unlearnkit.analysis.estimates import Estimate
    from unlearnkit.runs.analyze.bias import BiasReport, Comparison
    from unlearnkit.runs.analyze.difficulty import DifficultyReport, Group, Prediction
    from unlearnkit.runs.analyze.samples import Described, SamplesReport
    from unlearnkit.runs.scored import Scored
    from unlearnkit.runs.split import SplitReport

SIGNS = {1: "+", -1: "−", 0: "·", None: ""}
KEEPS = {True: "yes", False: "no", None: "–"}


def signed(value: float | None) -> str:
    """A correlation."""
    return "–" if value is None else f"{value:+.2f}"


def _range(found: Estimate) -> str:
    """The interval of a correlation, or why there is none."""
    if found.value is None:
        return REASONS.get(found.reason or "", found.reason or "")
    return "–" if found.low is None else f"{signed(found.low)} … {signed(found.high)}"


def claim(scored: Scored) -> str:
    """What a scorer's high values are said to mean, and by whom."""
    if scored.high_means == "unknown":
        return f"what a high {scored.name} means for forgetting is open"
    return f"high {scored.name} is {scored.high_means} to forget, by the claim of {scored.source}"


def origin(scored: Scored) -> str:
    """The run of the scores, and why it is that one where there were several."""
    if scored.among == 1:
        return f"run {scored.run.id}"
    known = scored.reliability
    why = "newest" if known is None else f"most reliable ({known:.2f})"
    return f"run {scored.run.id}, the {why} of {scored.among}"


# --------------------------------------------------------------------------------------------------------- difficulty


def difficulty_tables(found: DifficultyReport) -> list[Sheet]:
    """Each model's and set's predictions, algorithm by algorithm where there are several, and the signs that keep."""
    sheets: list[Sheet] = []
    for i, group in enumerate(found.groups, 1):
        sheets += [_predictions(i, group), *_by_method(group), _runs(group)]
    if len(found.groups) > 1:
        sheets.append(_signs(found))
    return sheets


ABOUT = (
    "Spearman's ρ of a score and the updates until a sample was forgotten. ρ > 0: a high score takes longer; ρ < 0: it "
    "goes sooner. Intervals are 95 % percentiles over resamples of the samples; first: share of resamples in which a "
    "score has the largest |ρ|. Samples that were never forgotten tie as the last. Runs are averaged by algorithm, "
    "then over algorithms."
)


def _predictions(i: int, group: Group) -> Sheet:
    notes = [ABOUT] if i == 1 else []
    if group.unseen:
        notes.append(f"{group.unseen} samples that a run never looked at are left out.")
    sheet = Sheet(
        f"#{i} what predicts forgetting {group.data} from {group.label}: {', '.join(group.by_method)}, n={group.n}",
        label("score"), number("ρ"), fixed("95 %"), number("given length"), fixed("95 %"), number("first"),
        note=" ".join(notes),
    )  # fmt: skip
    for p in group.predictions:
        given = p.given_length
        cells = (signed(p.rho.value), _range(p.rho), signed(given.value), _range(given), f"{p.strongest:.0%}")
        sheet.add(p.scorer if p.n == group.n else f"{p.scorer} (n={p.n})", *cells)
    return sheet


def _by_method(group: Group) -> Iterator[Sheet]:
    """ρ for each algorithm, some side by side."""
    names = list(group.by_method) if len(group.by_method) > 1 else []
    tables: dict[str, dict[str, Prediction]] = {
        name: {p.scorer: p for p in some} for name, some in group.by_method.items()
    }
    for start in range(0, len(names), SIDE_BY_SIDE):
        some = names[start : start + SIDE_BY_SIDE]
        sheet = Sheet("ρ by algorithm", label("score"), *(number(shorten(name, NAME_WIDTH)) for name in some))
        for p in group.predictions:
            sheet.add(p.scorer, *(signed(tables[name][p.scorer].rho.value) for name in some))
        yield sheet


def _runs(group: Group) -> Sheet:
    sheet = Sheet(
        "runs",
        fixed("run"), label("method"), number("updates"), number("never"), number("unknown"), fixed("threshold"),
        note="never: samples not forgotten in the run; unknown: beyond their threshold before the first update; "
        "threshold: nats per label token, from a reference where it is a range",
    )  # fmt: skip
    for run in group.runs:
        threshold = figure(run.low) if run.low == run.high else f"{figure(run.low)} … {figure(run.high)}"
        counts = (run.last, run.never, run.unknown_before)
        sheet.add(run.run.id, run.method, *map(str, counts), threshold)
    return sheet


def _signs(found: DifficultyReport) -> Sheet:
    sheet = Sheet(
        "which score keeps its sign",
        label("score"), *(number(f"#{i}") for i in range(1, len(found.groups) + 1)), fixed("keeps it"),
        note="+ or −: the interval of ρ has one side of 0; ·: it has both",
    )  # fmt: skip
    keeps = found.keeps
    for name, signs in found.signs.items():
        sheet.add(name, *(SIGNS[sign] for sign in signs), KEEPS[keeps[name]])
    return sheet


# ------------------------------------------------------------------------------------------------------------ samples


def samples_tables(found: SamplesReport, show: int) -> list[Sheet]:
    """What goes with the scores, and the samples at both ends."""
    low, _, high = found.scored.thirds
    sheet = Sheet(
        f"what goes with {found.scored.name} of {found.label} under {found.model}, n={len(found.samples)}",
        label("feature"), number("ρ"), fixed("95 %"), number("given length"), number(low), number(high),
        note=f"Spearman's ρ, 95 % percentile bootstrap; medians of the {low} and {high} third. "
        f"Scores of {origin(found.scored)}; {claim(found.scored)}",
    )  # fmt: skip
    for f in found.features:
        cells = (signed(f.rho.value), _range(f.rho), signed(f.given_length.value))
        sheet.add(f.name, *cells, significant(f.lowest), significant(f.highest))
    names = [f.name for f in found.features[:2]]
    return [
        sheet,
        _ends(f"lowest {found.scored.name}", names, found.samples[:show]),
        _ends(f"highest {found.scored.name}", names, found.samples[-show:][::-1]),
    ]


def _ends(title: str, names: Sequence[str], samples: Sequence[Described]) -> Sheet:
    sheet = Sheet(title, number("score"), *(number(shorten(name, NAME_WIDTH)) for name in names), text("sample"))
    for s in samples:
        words = s.sample[:12] if s.answer is None else " ".join(filter(None, (s.prompt, s.answer)))
        sheet.add(significant(s.value), *(significant(s.features[name]) for name in names), shorten(words, 200))
    return sheet


# --------------------------------------------------------------------------------------------------------------- bias

KINDS = {
    "thirds": "one forget set by thirds",
    "sets": "a forget set each",
}


def bias_tables(found: BiasReport) -> list[Sheet]:
    """Each comparison: methods on parts, and how far their rankings agree."""
    return [sheet for comparison in found.comparisons for sheet in _comparison(found, comparison)]


def _comparison(found: BiasReport, compared: Comparison) -> Iterator[Sheet]:
    by_thirds = compared.kind == "thirds"
    what = (
        "Methods forgot the same set, each model is read on its thirds"
        if by_thirds
        else "Methods forgot each of these sets, each model is read on its own"
    )
    note = (
        f"{what}: mean {found.metric}, {found.direction} is better, rank in brackets, seeds averaged. "
        f"Parts by {compared.scored.name}, {origin(compared.scored)}; {claim(compared.scored)}."
    )
    heads = (number(f"{shorten(part.name, NAME_WIDTH + 6)}\nn={part.n}") for part in compared.parts)
    sheet = Sheet(f"{KINDS[compared.kind]}, unlearned from {compared.model}", label("method"), *heads, note=note)
    for row in compared.rows:
        sheet.add(row.label, *(f"{figure(v)} ({r:g})" for v, r in zip(row.figures, row.ranks, strict=True)))
    yield sheet
    chance = "; by chance: its mean between random thirds; as low: share of those, and these, that agree no more"
    more = (number("by chance"), number("as low")) if by_thirds else ()
    agreement = Sheet(
        "do the rankings agree?",
        label("between"), number("τ"), *more,
        note=f"τ: Kendall's τ_b, 1 the same ranking, −1 its reverse{chance if by_thirds else ''}",
    )  # fmt: skip
    for a in compared.agreements:
        share = "–" if a.as_low is None else f"{a.as_low:.1%}"
        cells = (signed(a.by_chance), share) if by_thirds else ()
        agreement.add(f"{compared.name(a.one)}, {compared.name(a.other)}", signed(a.tau), *cells)
    yield agreement


# -------------------------------------------------------------------------------------------------------------- split


def split_table(found: SplitReport) -> Sheet:
    """The files that were written."""
    sheet = Sheet(
        f"by {found.scored.name}, run {found.scored.run.id}",
        text("file"), number("rows"), number("lowest"), number("highest"),
        note=f"scores of {origin(found.scored)}; {claim(found.scored)}",
    )  # fmt: skip
    for part in (*found.bins, *filter(None, [found.unscored_file])):
        sheet.add(str(part.file), str(part.rows), significant(part.low), significant(part.high))
    return sheet
