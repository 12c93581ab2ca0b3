"""Clipped gradient difference: forgetting that lets go of a sample once it is forgotten."""

from dataclasses import dataclass

from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.hookspecs import hookimpl
from unlearnkit.options import option


@dataclass(frozen=True)
class ClippedGradDiff(Algorithm):
    """-min(nll/n, cap) on each forget sample, in nats per token, beside the retain set's own loss."""

    cap: float = option(3.0, "nats per token from which a sample counts as forgotten", gt=0)

    def losses(self, step: Step) -> dict[str, Term]:
        forget = step.scores(step.forget)
        return {
            "forget": Term(-(forget.nll / forget.tokens).clamp(max=self.cap)),
            "retain": Term(step.scores(step.retain).nll, per="token"),
        }


@hookimpl
def register_algorithms() -> dict[str, str]:
    return {"clipped-graddiff": "unlearnkit_example:ClippedGradDiff"}
