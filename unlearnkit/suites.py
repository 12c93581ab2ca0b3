"""Which metrics are read on which split: a benchmark as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from unlearnkit.errors import NotFound


@dataclass(frozen=True)
class Suite:
    """What one evaluation consists of. Metrics and aggregates are plugin names.

    A split that the user has no data for is left out; the aggregates say what they then lack."""

    name: str
    splits: Mapping[str, tuple[str, ...]]
    """Split to the metrics read on it."""
    aggregates: tuple[str, ...]
    max_new_tokens: int
    """Longest generation, where a metric needs one; decoding is greedy."""


_SEEN = ("probability", "rouge", "truth_ratio", "exact_memorization", "extraction_strength")
_GENERAL = ("probability_options", "rouge", "truth_ratio")

SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="tofu",
            splits={"forget": _SEEN, "retain": _SEEN, "real_authors": _GENERAL, "world_facts": _GENERAL},
            aggregates=("forget_quality", "model_utility"),
            max_new_tokens=200,
        ),
    )
}


def suite(name: str) -> Suite:
    """The suite of that name; NotFound where there is none."""
    if name in SUITES:
        return SUITES[name]
    close = get_close_matches(name, SUITES, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"suites: {', '.join(SUITES)}"
    raise NotFound(f'no suite "{name}"', hint=hint, code="suite")
