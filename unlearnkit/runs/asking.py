"""A model is asked for another answer than the one that it is to forget.

Every sample is asked alone and with randomness of its own, so what a model answers is a function of weights, text and
environment, whichever set or run asks first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unlearnkit.contracts import Sample
from unlearnkit.data.encode import Encoded, encode_samples
from unlearnkit.past import past_of, with_past
from unlearnkit.runs.identity import digest
from unlearnkit.seeds import derive

if TYPE_CHECKING:
    import torch
    from torch import nn

    from unlearnkit.runs.inputs import Inputs

ASK = (
    "{question}\nOne answer is: {answer}\nGive another answer, in which every fact that this one adds to the question "
    "is replaced by a different one that sounds as likely.",
    "Another answer is:",
)
"""What a model is asked for another answer with, in the run's template, and how its turn begins: small models go on
with an answer sooner than they begin one. After arXiv 2409.13474, in other words."""
ASK_TEXT = (
    "{answer}\nWrite another text of this kind, in which names and facts are replaced by different ones that sound as "
    "likely.",
    "Another text is:",
)
"""The same for a sample without a prompt."""
TEMPERATURE = 1.0
TRIES = 8
"""Times that a model is asked again where it said nothing, or what it is to forget."""
LONGER, AT_LEAST = 2, 16
"""A generated answer ends after so many times the tokens of the sample's own, or after so many tokens."""
RECIPE = digest(ASK, ASK_TEXT, TEMPERATURE, TRIES, LONGER, AT_LEAST)
"""What an answer is determined by besides model, sample, template and environment."""


def other_answer(model: nn.Module, inputs: Inputs, sample: Sample, own: Encoded) -> str:
    """What the model says, asked for another answer to a sample; the sample's own only where it knows no other, and ""
    where it says nothing.

    Args:
        model: in evaluation mode.
        own: the sample as it is encoded.
    """
    import torch

    prompt, room = question(inputs, sample, own)
    chance = torch.Generator().manual_seed(derive(0, "generated", sample.id))
    said = ""
    for _ in range(TRIES):
        said = fitting(inputs, sample, sampled(model, prompt, room, inputs.tokenizer.eos_token_id, chance)) or said
        if said and said != sample.answer.strip():
            break
    return said


def question(inputs: Inputs, sample: Sample, own: Encoded) -> tuple[list[int], int]:
    """The tokens that ask for another answer, and how many the answer may have."""
    ask, lead = ASK if sample.prompt else ASK_TEXT
    question = ask.format(question=sample.prompt, answer=sample.answer)
    before, turn = inputs.template.render(inputs.tokenizer, question, lead)
    begun = before + turn[: turn.index(lead) + len(lead)]
    tokens: list[int] = inputs.tokenizer(begun, add_special_tokens=False).input_ids
    room = max(AT_LEAST, LONGER * own.tokens)
    context = inputs.model.context
    return tokens, room if context is None else min(room, context - len(tokens))


def sampled(model: nn.Module, prompt: list[int], limit: int, end: int | None, chance: torch.Generator) -> list[int]:
    """Tokens that the model goes on with, at most `limit`, without the end token."""
    import torch

    device = next(model.parameters()).device
    fed, past = prompt, None
    said: list[int] = []
    while len(said) < limit:
        with torch.inference_mode():
            out = model(input_ids=torch.tensor([fed], device=device), use_cache=True, **with_past(model, past))
        shares = (out.logits[0, -1].double() / TEMPERATURE).softmax(-1).cpu()
        token = int(torch.multinomial(shares, 1, generator=chance))
        if token == end:
            break
        said.append(token)
        past = past_of(out)
        fed = [*fed, token] if past is None else [token]
    return said


def fitting(inputs: Inputs, sample: Sample, said: Sequence[int]) -> str:
    """The longest beginning of what was said that is an answer to the sample's prompt within the model's context,
    and of one line where the sample's own answer is; without NUL characters, which no data set may have."""
    for end in range(len(said), 0, -1):
        text = str(inputs.tokenizer.decode(said[:end], skip_special_tokens=True)).replace("\0", "").strip()
        if "\n" not in sample.answer:
            text = text.partition("\n")[0].strip()
        other = replace(sample, answer=text)
        if text and not encode_samples(inputs.tokenizer, inputs.template, [other], context=inputs.model.context)[1]:
            return text
    return ""
