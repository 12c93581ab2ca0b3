"""Batches: masks from lengths, padding that no number depends on, a plan that is a function of lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from unlearnkit.data.collate import collate, plan, prompts
from unlearnkit.data.encode import Encoded
from unlearnkit.losses import label_scores

END = 7
ITEMS = [Encoded((5, END, 6, END), 2), Encoded((END, 8), 0), Encoded((9, END, END, 3, 4, END), 3)]
"""The end token stands inside the texts, and is what pads."""


def test_mask_and_labels_by_hand():
    batch = collate(ITEMS, [2, 0, 1], pad=END)
    assert batch.ids.tolist() == [[9, END, END, 3, 4, END], [5, END, 6, END, END, END], [END, 8, END, END, END, END]]
    assert batch.mask.tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    no = -100
    assert batch.labels.tolist() == [[no, no, no, 3, 4, END], [no, no, 6, END, no, no], [END, 8, no, no, no, no]]
    assert batch.rows == (2, 0, 1)
    assert {t.dtype for t in (batch.ids, batch.mask, batch.labels)} == {torch.int64}


def test_prompts_are_padded_on_the_left():
    ids, mask = prompts(ITEMS, [0, 2], pad=END, device="cpu")
    assert ids.tolist() == [[END, 5, END], [9, END, END]]
    assert mask.tolist() == [[0, 1, 1], [1, 1, 1]]


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval()


def nll(model: Any, rows: list[int], pad: int) -> torch.Tensor:
    with torch.no_grad():
        return label_scores(model, collate(ITEMS, rows, pad=pad), precise=True).nll


def test_what_pads_changes_no_bit(model: Any):
    assert torch.equal(nll(model, [0, 1, 2], END), nll(model, [0, 1, 2], 0))


def test_padding_changes_no_number(model: Any):
    alone = torch.cat([nll(model, [row], END) for row in range(3)])
    torch.testing.assert_close(nll(model, [0, 1, 2], END), alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_the_plan_holds_each_row_once_shortest_first(size: int):
    lengths = [3, 1, 2, 3, 1, 2, 9, 1]
    batches = plan([Encoded((0,) * n, 0) for n in lengths], size)
    rows = [row for batch in batches for row in batch]
    assert rows == [1, 4, 7, 2, 5, 0, 3, 6]
    assert all(len(batch) == size for batch in batches[:-1])
    assert plan([], size) == []
