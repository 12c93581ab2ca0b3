"""Probes made to order: from chosen log-probabilities, and from published logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unlearnkit.contracts import Probe, Sample, TokenScores

EMPTY = TokenScores(np.empty(0), np.empty(0, dtype=bool))
"""A text without tokens."""


def text(*logprobs: float) -> TokenScores:
    """A text whose tokens have these log-probabilities."""
    return TokenScores(np.array(logprobs, dtype=np.float64), np.ones(len(logprobs), dtype=bool))


def samples(*answers: str) -> list[Sample]:
    return [Sample(f"{n:064x}", n, f"question {n}", answer) for n, answer in enumerate(answers)]


def probe(log: Mapping[str, Any]) -> Probe:
    """A split's log as the pass that would have found it; a mean NLL becomes a text of one such token."""
    return Probe(
        samples=samples(*(row["answer"] for row in log["generations"])),
        answer=[text(-loss) for loss in log["avg_gt_loss"]],
        paraphrases=[[text(-loss)] for loss in log["avg_paraphrased_loss"]],
        wrong=[[text(-loss) for loss in losses] for losses in log["average_perturb_loss"]],
        generation=[row["generated"] for row in log["generations"]],
    )
