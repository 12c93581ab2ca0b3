"""Templates and token ids: how a sample is put to a model, and which of its tokens carry a label.

A template renders a sample as one text and says where its label region begins; the whole text is tokenised once, and
tokens that end inside the region are labelled. The region covers the answer and its end token. The text before it is
what generation starts from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Sample
from unlearnkit.errors import BadInput, UnlearnkitError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PLAIN = "Question: {question}\nAnswer: {answer}{eos}"
TEXT = "{answer}{eos}"
VERBATIM = "{question}{answer}{eos}"
COMPLETION = "{question} {answer}"
WORDED = {"plain": PLAIN, "verbatim": VERBATIM, "completion": COMPLETION}
KINDS = ("auto", "chat", "plain", "verbatim", "completion", "openunlearning")


@dataclass(frozen=True)
class Template:
    """How a sample is rendered.

    `kind`: "chat" is the model's own chat template, up to the end token of the answer's turn; "openunlearning" the
    same with all that OpenUnlearning puts after the answer (the rest of the turn and one more end token) and its
    system prompt; "plain" is `Question: … Answer: …`, "verbatim" prompt and answer with nothing between;
    "completion" prompt, a space and the answer without an end, as lm-eval puts an option; "file" is the user's text
    with {question}, {answer}, {eos}.
    """

    kind: str
    system: str | None = None
    text: str | None = None

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.kind, self.system, self.text]).encode()).hexdigest()[:16]

    def render(self, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str, lead: str = "") -> tuple[str, str]:
        """(text before the label region, label region). A `lead` stands before the answer, in the same turn."""
        before, region = self._rendered(tokenizer, prompt, lead + answer)
        given = region.index(lead) + len(lead)
        return before + region[:given], region[given:]

    def _rendered(self, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> tuple[str, str]:
        if not prompt and self.kind != "file":
            return self._fill(tokenizer, TEXT, prompt, answer)
        if self.text is not None:
            return self._fill(tokenizer, self.text, prompt, answer)
        return self._chat(tokenizer, prompt, answer)

    def _fill(self, tokenizer: PreTrainedTokenizerFast, text: str, prompt: str, answer: str) -> tuple[str, str]:
        before, _, after = text.partition("{answer}")
        eos = tokenizer.eos_token or ""
        before = _bos(tokenizer) + before.replace("{eos}", eos).replace("{question}", prompt)
        spaces = before[len(before.rstrip(" ")) :]  # a space before the answer belongs to its first token
        return before.removesuffix(spaces), spaces + answer + after.replace("{eos}", eos)

    def _chat(self, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> tuple[str, str]:
        turns = [{"role": "user", "content": prompt}]
        if self.system is not None:
            turns.insert(0, {"role": "system", "content": self.system})
        before: Any = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        whole: Any = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": answer}], tokenize=False)
        if not whole.startswith(before + answer):
            raise UnlearnkitError(
                "the model's chat template changes the answer or its own prompt, so no label region can be told",
                hint="--template plain, or a template file",
                code="template",
            )
        tail = whole[len(before) + len(answer) :]
        eos = tokenizer.eos_token or ""
        if self.kind == "openunlearning":
            return before, answer + tail + eos
        return before, answer + (tail[: tail.index(eos) + len(eos)] if eos and eos in tail else tail + eos)


def _bos(tokenizer: PreTrainedTokenizerFast) -> str:
    """The token that the tokenizer itself would put first, as text."""
    bos = tokenizer.bos_token
    return str(bos) if bos and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id] else ""


def choose_template(name: str, system: str | None, *, has_chat: bool) -> Template:
    """The template that `--template NAME` means.

    Raises:
        BadInput: unknown name, a file that is not UTF-8 or lacks {answer}, chat without a chat template.
    """
    if name == "auto":
        name = "chat" if has_chat else "plain"
    if name in ("chat", "openunlearning"):
        if not has_chat:
            raise BadInput(
                f"--template {name}: the model has no chat template", hint="--template plain", code="template"
            )
        return Template(name, "You are a helpful assistant." if name == "openunlearning" and system is None else system)
    if system is not None:
        raise BadInput("--system-prompt goes with a chat template only", code="template")
    if name in WORDED:
        return Template(name, text=WORDED[name])
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"--template {name}: neither {', '.join(KINDS)} nor a file", code="template")
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8: {error.reason} at byte {error.start}", code="template") from error
    _, *after = text.split("{answer}")
    if len(after) != 1 or "{question}" in after[0]:
        raise BadInput(
            f"{name}: a template has {{answer}} in it exactly once, and {{question}} before it", code="template"
        )
    return Template("file", text=text)


@dataclass(frozen=True)
class Encoded:
    """Token ids of one text; those from `labels_from` on carry a label. The first token of all has no context and so
    never has one."""

    ids: tuple[int, ...]
    labels_from: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """Tokens that carry a label."""
        return len(self.ids) - max(self.labels_from, 1)

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.ids[: self.labels_from]

    def labelled_whole(self) -> Encoded:
        """The same text with a label on every token, the prompt's included."""
        return replace(self, labels_from=0)


def encode(tokenizer: PreTrainedTokenizerFast, template: Template, asked: Sequence[tuple[str, ...]]) -> list[Encoded]:
    """Token ids and label boundary of each (prompt, answer), or (prompt, answer, lead)."""
    rendered = [template.render(tokenizer, *texts) for texts in asked]
    if not rendered:
        return []
    texts = [before + region for before, region in rendered]
    tokens = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    encoded = []
    for (before, _), ids, offsets in zip(rendered, tokens.input_ids, tokens.offset_mapping, strict=True):
        start = next((i for i, (_, end) in enumerate(offsets) if end > len(before)), len(ids))
        encoded.append(Encoded(tuple(ids), start))
    return encoded


def cut(tokenizer: PreTrainedTokenizerFast, text: str, tokens: int) -> str:
    """The beginning of a text that is at most so many tokens."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]


def encode_samples(
    tokenizer: PreTrainedTokenizerFast, template: Template, samples: Sequence[Sample], *, context: int | None
) -> tuple[list[Encoded], dict[int, tuple[str, str]]]:
    """Encoded samples in order, and the faults of those that cannot be used: {position: (code, text)}."""
    encoded = encode(tokenizer, template, [(s.prompt, s.answer, s.lead) for s in samples])
    faults: dict[int, tuple[str, str]] = {}
    for sample, item in zip(samples, encoded, strict=True):
        if item.tokens < 1:
            faults[sample.position] = ("no-target", "no token of the answer can be scored")
        elif context is not None and len(item) > context:
            faults[sample.position] = ("too-long", f"{len(item):,} tokens, the model takes {context:,}")
    return encoded, faults


def pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """An id to fill batches with. Masks come from lengths, so any valid id does."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
