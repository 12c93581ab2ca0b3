"""Whether the model picks the right one of some options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from unlearnkit.contracts import Direction, Metric, Need, Probe, TokenScores, Undefined


@dataclass(frozen=True)
class Choice(Metric):
    """1 where the right option is more likely than each wrong one, log p(c) > log p(w_j), else 0; where it ties with
    some as the most likely, one over their number, which is what picking one of them at random gives on average.

    log p is summed over an option's tokens, behind the same prompt: lm-eval's "acc", which gives a tie to the option
    that stands first. Undefined where an option has no token ("no_target") or there is no wrong one
    ("no_wrong_answers"). A split's figure is the accuracy; chance is one over the number of options.
    Source: arXiv 2009.03300, as the Language Model Evaluation Harness measures it.
    """

    needs: ClassVar[tuple[Need, ...]] = ("answer", "wrong")
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of questions"
    source: ClassVar[str] = "2009.03300"
    by_heart: ClassVar[float | None] = 1.0

    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        assert probe.answer is not None
        assert probe.wrong is not None
        return [_picked(answer, wrong) for answer, wrong in zip(probe.answer, probe.wrong, strict=True)]


def _picked(right: TokenScores, wrong: Sequence[TokenScores]) -> float | Undefined:
    if not wrong:
        return Undefined("no_wrong_answers")
    if not all(option.logprobs.size for option in (right, *wrong)):
        return Undefined("no_target")
    own, others = float(right.logprobs.sum()), [float(option.logprobs.sum()) for option in wrong]
    if max(others) > own:
        return 0.0
    return 1 / (1 + others.count(own))
