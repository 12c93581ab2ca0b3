"""Texts that begin alike as one row of tokens: what several have in common stands there once, and each token sees
those that lead to it and no others. Wrong answers differ from the right one in a word; what stands before it is read
once for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import torch

from unlearnkit.data.encode import Encoded

if TYPE_CHECKING:
    from torch import Tensor

SHARED = 0.2
"""Share of a text's tokens that it has to have in common with another to stand in one row with it: tokens of a row are
compared with all of its tokens, seen or not."""


@dataclass(frozen=True)
class Branches:
    """Some texts as one row of tokens, less those that nothing follows: they are labels and no more. `parents` says
    which token of the row each follows, -1 where it follows what stands before the row; `asked` the token before each
    label, and the label, once; `labels` which of those are each text's, by the texts' indices."""

    ids: Sequence[int]
    parents: Sequence[int]
    asked: Sequence[tuple[int, int]]
    labels: Mapping[int, Sequence[int]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Laid:
    """Rows padded on the right to N tokens: their ids, and how many tokens of its row lead to each, [B, N]; which
    tokens of the row each sees, itself among them, [B, N, N]; and of each label its row, the token before it, and
    itself, [n] each, row by row."""

    ids: Tensor
    depth: Tensor
    sees: Tensor
    row: Tensor
    before: Tensor
    label: Tensor


def rows(texts: Sequence[Encoded], start: int, most: int) -> list[Branches]:
    """Texts, less their first `start` tokens, in rows of at most `most` that have much in common. No label stands
    before the token `start` + 1."""
    order = sorted(range(len(texts)), key=lambda i: texts[i].ids[start:])
    together: list[list[int]] = []
    for i in order:
        own = texts[i].ids[start:]
        row = together[-1] if together else []
        if row and len(row) < most and in_common([own, texts[row[-1]].ids[start:]]) >= SHARED * len(own):
            row.append(i)
        else:
            together.append([i])
    return [_row(texts, some, start) for some in together]


def in_common(texts: Sequence[Sequence[int]]) -> int:
    """Tokens that all texts begin with."""
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*texts)))  # noqa: B905 - to the shortest


def _row(texts: Sequence[Encoded], of: Sequence[int], start: int) -> Branches:
    places: dict[tuple[int, int], int] = {}
    asked: dict[tuple[int, int], int] = {}
    labels = {}
    for i in of:
        own, at, found = texts[i].ids[start:], -1, []
        for n, token in enumerate(own):
            if n + start >= max(texts[i].labels_from, 1):
                found.append(asked.setdefault((at, token), len(asked)))
            if n == 0 or n + 1 < len(own):
                at = places.setdefault((at, token), len(places))
        labels[i] = found
    return Branches([token for _, token in places], [parent for parent, _ in places], list(asked), labels)


def laid(some: Sequence[Branches], *, pad: int, device: torch.device) -> Laid:
    """Rows as a batch."""
    shape = len(some), max(len(one) for one in some)
    ids = torch.full(shape, pad)
    sees = torch.eye(shape[1], dtype=torch.bool).repeat(len(some), 1, 1)
    for row, one in enumerate(some):
        ids[row, : len(one)] = torch.tensor(one.ids)
        for place, parent in enumerate(one.parents):
            if parent >= 0:  # which stands before it, so all that leads there is known
                sees[row, place] |= sees[row, parent]
    asked = [(row, *pair) for row, one in enumerate(some) for pair in one.asked]
    labels = torch.tensor(asked, dtype=torch.int64).reshape(-1, 3).T
    return Laid(*(of.to(device) for of in (ids, sees.sum(-1) - 1, sees, *labels)))
