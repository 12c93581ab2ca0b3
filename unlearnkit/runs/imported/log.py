"""What a log says, whoever wrote it: rows by split, with their texts, values and losses as far as it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unlearnkit.runs.imported.files import Value
from unlearnkit.suites import Use


@dataclass(frozen=True)
class Losses:
    """Mean NLLs of a sample's texts, nats per label token."""

    answer: Value | None = None
    paraphrases: tuple[Value, ...] = ()
    wrong: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Row:
    """One sample in a log. `index` is its row in the data that were evaluated; `prompt` is what was asked, as far as
    it can be told from the template around it. `values` are by the names of metrics. What the log
    lacks is absent."""

    index: int
    prompt: str | None = None
    answer: str | None = None
    generation: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    losses: Losses = Losses()


@dataclass(frozen=True)
class Log:
    """A log as a whole.

    `form` is the program whose it is, `suite` what it measured, by our name. `uses` are metrics that our suite does not
    have, by the name of their values, and `aggregates` what it lacks of numbers over samples; `claims` are what the log
    itself gives as figures ("split.metric") and aggregates, and `left` names what of it is not taken."""

    form: str
    suite: str
    splits: Mapping[str, Sequence[Row]]
    uses: Sequence[Use] = ()
    aggregates: Sequence[Use] = ()
    claims: Mapping[str, Value] = field(default_factory=dict)
    left: Sequence[str] = ()


ROUGES = (Use("rouge1", "rouge", {"variant": "rouge1"}), Use("rouge_f1", "rouge", {"score": "f1"}))
"""Variants that logs have beside ROUGE-L recall."""

RECORDED = {
    ("OpenUnlearning", "loss_difference"): "Mean NLL less that under a model of its choice, nats per label token.",
    ("OpenUnlearning", "grad_norm_mean"): "Mean over the weight tensors of the norm of the NLL's gradient in each.",
    ("OpenUnlearning", "extraction_strength"): "As here, but for the last label token, which does not count: never 0.",
}
"""What is known of numbers that are taken as logs have them, by program and name."""


def recorded_as(use: Use) -> str:
    """What is known of a number as its program defines it; empty where nothing is, or where it is measured here."""
    return RECORDED.get((str(use.options.get("by")), use.name), "") if use.plugin == "recorded" else ""


TURNS = (
    ("[INST] ", "[/INST]"),  # Llama 2
    ("user\n\n", "assistant"),  # Llama 3, its special tokens left out
    ("user\n", "assistant"),  # ChatML likewise
    ("Question: ", "Answer:"),
    ("Question: ", ""),
)
"""What stands before and behind a question where a log has it in its template."""


def question_of(prompt: str) -> str:
    """The question within a prompt: the last turn of a template that is known, else the prompt as it is."""
    whole = prompt.strip()
    for before, behind in TURNS:
        if whole.endswith(behind):
            start = whole.rfind(before, 0, len(whole) - len(behind))
            if start >= 0:
                return whole[start + len(before) : len(whole) - len(behind)].strip()
    return whole
