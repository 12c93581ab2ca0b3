"""How rows of a benchmark's own files become samples: texts with {column} in them, as a suite says.

prompt: "{question}\\n{choices}\\nAnswer:"
answer: "{answer}"
choices: choices
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from unlearnkit.contracts import Sample
from unlearnkit.data.sources import Raw

COLUMN = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Layout:
    """Prompt and answer of a row, by its columns.

    `choices` names a column with a list of options. In the prompt it stands for them, a line each with a letter before
    it; `answer` then is the column that says which is right, by its number from 0 or its letter. The right letter
    becomes the answer and the others the wrong ones. Texts around options lose the spaces at their ends.

    `head` stands once before everything, and `shot` is how an example, with {prompt} and {answer}, stands between.
    """

    prompt: str = "{question}"
    answer: str = "{answer}"
    choices: str | None = None
    head: str = ""
    shot: str = "{prompt} {answer}\n\n"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's own name for it

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row must have."""
        return tuple(dict.fromkeys(COLUMN.findall(self.prompt + self.answer)))

    def fits(self, rows: Sequence[Raw]) -> bool:
        """Whether rows have the columns."""
        return set(self.columns) <= {column for row in rows for column in row}

    def row(self, row: Raw) -> Raw | tuple[str, str]:
        """A row with `question` and `answer`, and with options also `perturbed_answer`; where it cannot be one, what is
        wrong with it, as (code, text)."""
        apart = () if self.choices is None else (self.choices, self._right)
        for column in self.columns:
            if column not in apart and not isinstance(row.get(column), str):
                return "type", f'"{column}" is not a text'
        if self.choices is None:
            return {**row, "question": _filled(self.prompt, row), "answer": _filled(self.answer, row)}
        options = row.get(self.choices)
        if not isinstance(options, (list, tuple)) or not 2 <= len(options) <= len(ascii_uppercase):
            return "type", f'"{self.choices}" is not a list of two to {len(ascii_uppercase)} options'
        if not all(isinstance(option, str) for option in options):
            return "type", f'an option in "{self.choices}" is not a text'
        letters = ascii_uppercase[: len(options)]
        right = row.get(self._right)
        if isinstance(right, int) and not isinstance(right, bool) and 0 <= right < len(letters):
            right = letters[right]
        if not isinstance(right, str) or len(right) != 1 or right not in letters:
            return "type", f'"{self._right}" is neither the number of an option, from 0, nor its letter'
        listed = "\n".join(f"{letter}. {option}" for letter, option in zip(letters, options, strict=True))
        texts = {column: text.strip() for column, text in row.items() if isinstance(text, str)}
        return {
            "question": _filled(self.prompt, {**texts, self.choices: listed}),
            "answer": right,
            "perturbed_answer": [letter for letter in letters if letter != right],
        }

    @property
    def _right(self) -> str:
        """The column that says which option is right."""
        return self.answer.strip("{}")

    def before(self, examples: Sequence[Sample] = ()) -> str:
        """What stands before each prompt: the head, and examples."""
        return self.head + "".join(_filled(self.shot, {"prompt": e.prompt, "answer": e.answer}) for e in examples)


def _filled(text: str, row: dict[str, Any]) -> str:
    """A text with columns in place of their names; what they hold is not looked into."""
    return COLUMN.sub(lambda found: str(row[found[1]]), text)
