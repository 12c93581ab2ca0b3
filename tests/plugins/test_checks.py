"""What a method hands back wrongly is named, with what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unlearnkit.algorithms.ga import GA
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.checks import checked_order, checked_terms
from unlearnkit.contracts import Pool, Term
from unlearnkit.errors import UnlearnkitError
from unlearnkit.testing import material

STEP = material.step(GradDiff())
GOOD = torch.ones(4, requires_grad=True)


def test_a_bare_tensor_is_a_term():
    kept = torch.ones(3, requires_grad=True)
    terms = checked_terms("x", {"forget": GOOD, "retain": Term(kept, "token", 0.5)}, STEP)
    assert (terms["forget"].per, terms["forget"].weight) == ("sample", 1.0)
    assert terms["forget"].values is GOOD
    assert terms["retain"].values is kept


@pytest.mark.parametrize(
    ("losses", "came", "expected"),
    [
        (None, "returned None", "a mapping"),
        (GOOD, "returned Tensor", "a mapping"),
        ({}, "returned dict {}", "a mapping"),
        ({"forgt": GOOD}, "a term 'forgt'", "only forget and retain"),
        ({"forget": None}, "the forget term is None", "a tensor"),
        ({"forget": 0.5}, "the forget term is float 0.5", "a tensor"),
        ({"forget": GOOD.mean()}, "has shape []", "[4], one loss a sample"),
        ({"forget": torch.ones(4, 2, requires_grad=True)}, "has shape [4, 2]", "[4]"),
        ({"forget": GOOD, "retain": GOOD}, "the retain term has shape [4]", "[3]"),
        ({"forget": torch.ones(4, dtype=torch.int64)}, "is of torch.int64", "floating-point"),
        ({"forget": torch.ones(4, device="meta", requires_grad=True)}, "is on meta", "cpu"),
        ({"forget": GOOD.detach()}, "has no gradient", "not detached"),
        ({"forget": Term(GOOD, per="batch")}, "is per 'batch'", 'per="token"'),  # type: ignore[arg-type]
        ({"forget": Term(GOOD, weight=float("nan"))}, "has weight nan", "a finite number"),
        ({"forget": Term(GOOD, weight=GOOD)}, "has weight tensor", "a finite number"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_loss(losses: Any, came: str, expected: str):
    with pytest.raises(UnlearnkitError) as caught:
        checked_terms("mine", losses, STEP)
    assert caught.value.code == "plugin-contract"
    assert caught.value.message.startswith("algorithm mine")
    assert came in caught.value.message
    assert expected in caught.value.hint


POOL = Pool(3, 3, 0, 1, None, np.full(3, np.nan), np.full(3, 2.0), np.full(3, 5))


def test_only_a_sampler_that_draws_for_every_step_may_end_training():
    none = np.array([], dtype=np.int64)
    assert len(checked_order("mine", none, POOL, may_end=True)) == 0
    with pytest.raises(UnlearnkitError, match=r"an order of shape \[0\]"):
        checked_order("mine", none, POOL)


def test_a_retain_term_without_retain_samples():
    step = material.step(GA())
    with pytest.raises(UnlearnkitError, match="a term 'retain'"):
        checked_terms("mine", {"forget": GOOD, "retain": GOOD}, step)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_a_right_order_is_int64(dtype: type):
    order = checked_order("mine", np.array([2, 0, 2], dtype=dtype), POOL)
    assert order.dtype == np.int64
    assert order.tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("order", "came"),
    [
        (None, "returned None"),
        ([0, 1, 2], "returned list"),
        (iter(()), "returned tuple_iterator"),
        (np.array([0.0, 1.0, 2.0]), "returned ndarray"),
        (np.array([0.0, np.nan, 2.0]), "returned ndarray"),
        (np.array([True, False, True]), "returned ndarray"),
        (np.array([0, 1]), "an order of shape [2]"),
        (np.zeros((3, 1), dtype=int), "an order of shape [3, 1]"),
        (np.array([0, 1, 3]), "indices from 0 to 3"),
        (np.array([-1, 1, 2]), "indices from -1 to 2"),
    ],
)
def test_a_wrong_order(order: Any, came: str):
    with pytest.raises(UnlearnkitError) as caught:
        checked_order("mine", order, POOL)
    assert caught.value.code == "plugin-contract"
    assert came in caught.value.message
    assert "3 indices in 0 … 2" in caught.value.hint
