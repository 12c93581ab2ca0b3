"""What is not there, and what is not proven: every certificate says both, the worse measured the longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unlearnkit.report.certificate.measured import of_the_run_itself
from unlearnkit.report.tables import REASONS
from unlearnkit.text import counted

if TYPE_CHECKING:
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run


FEW = 30
"""Samples below which a bootstrap interval is rough itself."""


def absent(place: Workplace, run: Run, body: Mapping[str, Any]) -> list[dict[str, str]]:
    """All that was not done or has no value: what, and why that matters or how it came."""
    return [
        *_of_data(body),
        *_of_evaluations(body),
        *_of_references(place, run, body),
        *_of_numbers(body),
        *_of_samples(body),
        *_of_attacks(place, body),
        *(
            []
            if run.exact
            else [_row("bit-exact repetition", "the run went on elsewhere, or a step came out otherwise")]
        ),
    ]


def _row(what: str, why: str) -> dict[str, str]:
    return {"what": what, "why": why}


def _of_data(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for reason, n in body["asked"]["forget"]["left_out"].items():
        yield _row(
            f"{counted(n, 'row')} of the forget set",
            f"left out as unusable ({REASONS.get(reason, reason)}): nothing was done about what they say",
        )
    if "retain" not in body["asked"]:
        yield _row("a retain set", "none was rehearsed in training")


def _of_evaluations(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if not body["evaluations"]:
        yield _row("an evaluation of the model", "what it still says of the samples was not measured")
        return
    for one in body["evaluations"]:
        if one["before"] is None:
            yield _row(
                f"the {one['suite']} evaluation of the model before",
                "it was not asked the same, so there is nothing to compare with",
            )
        if one["reference"] is None:
            yield _row(
                f"a reference in the {one['suite']} evaluation",
                "no model that never saw the samples was evaluated, so nothing says what such a model would get",
            )
        if one["n"] < body["asked"]["forget"]["n"]:
            yield _row(
                f"{body['asked']['forget']['n'] - one['n']} of the samples in the {one['suite']} evaluation",
                "it is about the others alone",
            )


def _of_references(place: Workplace, run: Run, body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Numbers that were held against the very models that this is about."""
    own = of_the_run_itself(place, run)
    for one in body["evaluations"]:
        for number in place.reading().aggregates(one["run"]):
            if number.reference in own:
                yield _row(
                    f"{number.name} ({one['suite']}) against {number.reference}",
                    f"that is an evaluation of the model {own[number.reference]}: it is no retain-only model",
                )


def _of_numbers(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for row in body["metrics"]:
        if row["after"]["value"] is None:
            reason = row["after"]["reason"]
            yield _row(f"{row['name']} ({row['suite']})", f"undefined: {REASONS.get(reason, reason)}")


def _of_samples(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if body["difficulty"] is None:
        yield _row("the samples' difficulty", "Memory Removal Difficulty was not scored under the model before")
    rows, metric = body["samples"]["rows"], body["samples"]["metric"]
    without = sum(row["after"] is None for row in rows)
    if metric is not None and without:
        yield _row(f"{metric} of {counted(without, 'sample')}", "no value after unlearning")


def _of_attacks(place: Workplace, body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Those that the kit has for everybody: what else is installed here is nothing that a certificate is about."""
    own = {name for name, offer in place.plugins.offers("attack").items() if offer.distribution == "unlearnkit"}
    for name in sorted(own - {one["attack"] for one in body["attacks"]}):
        yield _row(f"attack {name}", "not tried on this model and these samples: what it would bring back is not known")


def limits(body: Mapping[str, Any]) -> list[str]:
    """What is not proven, in plain sentences."""
    forget, plan = body["asked"]["forget"], body["run"]["plan"]
    measured = sorted({row["name"] for row in body["metrics"] if row["after"]["value"] is not None})
    said = [
        "Approximate unlearning is not deletion. The weights were changed until the model says less of the samples; "
        "that nothing of them is left in the weights is not proven, and cannot be proven by any number here.",
        f"It is about these {counted(forget['n'], 'sample')} as they are worded in the data set. Other wordings, "
        "translations, and other texts about the same persons or facts were not asked for and may still be known.",
        "It is about the one folder whose weights have the fingerprint above. Copies of the model before, other "
        "models, adapters, checkpoints, training data, backups and logs are outside of it.",
        f"The numbers are those of {'float32' if plan['precision'] == 'fp32' else plan['precision']} training and of "
        "evaluation in float32, in the environments named here. In another precision, or quantised, the model may say "
        "more.",
        "Attacks that are not listed as tried were not tried, and new ones may be found. An attack that brought "
        "nothing back shows that this attack did not.",
    ]
    if measured:
        said.append(f"Measured was this alone: {', '.join(measured)}. Nothing is said of what no metric here looks at.")
    else:
        said.append("No number was measured of the model that was written: whether anything is forgotten is not known.")
    if not any(one["reference"] for one in body["evaluations"]):
        said.append(
            "No model that never saw the samples was held against it, so a low number may be what any model gets, and "
            "a high one too."
        )
    if any(row["after"]["low"] is not None for row in body["metrics"]):
        few = f" With {forget['n']} samples they are rough themselves." if forget["n"] < FEW else ""
        said.append(
            f"Intervals are 95 % bootstrap intervals over the samples; they say nothing of another training run.{few}"
        )
    said.append(
        "A name under this page is not a signature: nothing shows who typed it. The digest shows a later change only "
        "to someone who has the digest from elsewhere."
    )
    return said
