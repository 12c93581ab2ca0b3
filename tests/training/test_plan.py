"""What a step sees: checked by counting, and against schedules written down as formulas."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from unlearnkit.training.plan import TrainingPlan, by_epoch

PLAN = TrainingPlan(
    n=11, epochs=3, max_steps=None, batch_size=2, grad_accum=2, lr=2e-3, schedule="constant", warmup=0.0,
    weight_decay=0.01, max_grad_norm=1.0, seed=7,
)  # fmt: skip
SHAPES = [(1, 1, 1), (11, 2, 2), (12, 3, 2), (7, 8, 1), (9, 1, 4), (16, 4, 4)]


def shaped(n: int, batch_size: int, grad_accum: int) -> TrainingPlan:
    return replace(PLAN, n=n, batch_size=batch_size, grad_accum=grad_accum)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_epoch_sees_its_order_once_in_pieces_of_the_batch_size(shape: tuple[int, int, int]):
    plan = shaped(*shape)
    order = np.random.default_rng(1).permutation(plan.n).tolist()
    for epoch in range(plan.epochs):
        steps = [s for s in range(plan.steps) if plan.epoch(s) == epoch]
        micro = [rows for step in steps for rows in plan.micro_batches(plan.rows(step, order))]
        assert [row for rows in micro for row in rows] == order
        assert all(len(rows) == plan.batch_size for rows in micro[:-1]) and 1 <= len(micro[-1]) <= plan.batch_size
        assert all(1 <= len(plan.micro_batches(plan.rows(step, order))) <= plan.grad_accum for step in steps)
        assert [plan.size(step) for step in steps] == [len(plan.rows(step, order)) for step in steps]
    assert plan.epoch(plan.steps) == plan.epochs, "the steps end with the last epoch"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("retained", [1, 3, 5, 40])
def test_companions_are_pass_after_pass_over_the_retain_set(shape: tuple[int, int, int], retained: int):
    plan = shaped(*shape)
    seen: list[int] = []
    for step in range(plan.steps):
        companions = plan.companions(step, plan.size(step), retained)
        assert len(companions) == plan.size(step)
        seen += companions
    assert len(seen) == plan.n * plan.epochs
    passes = [seen[i : i + retained] for i in range(0, len(seen), retained)]
    assert all(Counter(one) == Counter(range(retained)) for one in passes[:-1])
    assert len(set(passes[-1])) == len(passes[-1])
    if retained == 40 and len(passes) > 1:
        assert passes[0] != passes[1][:40] and passes[0] != sorted(passes[0]), "each pass is shuffled anew"


def test_a_step_follows_from_its_number_alone():
    plan, order = PLAN, list(range(11))

    def seen(steps: list[int]) -> dict[int, object]:
        return {
            s: (
                plan.micro_batches(plan.rows(s, order)),
                plan.companions(s, 4, 5),
                plan.learning_rate(s),
            )
            for s in steps
        }

    forwards = seen(list(range(plan.steps)))
    assert seen(list(reversed(range(plan.steps)))) == forwards
    assert seen([4]) == {4: forwards[4]}
    other = replace(plan, seed=8)
    assert [other.companions(s, 2, 40) for s in range(9)] != [plan.companions(s, 2, 40) for s in range(9)]


def test_an_epochs_order_is_asked_for_once_and_where_its_first_step_is_asked_for():
    asked: list[int] = []

    def order(epoch: int) -> list[int]:
        asked.append(epoch)
        return [epoch] * PLAN.n

    rows = by_epoch(PLAN, order)
    assert asked == []
    assert [rows(step) for step in (1, 2, 3, 4, 8)] == [[0] * 4, [0] * 3, [1] * 4, [1] * 4, [2] * 3]
    assert asked == [0, 1, 2]


def test_max_steps_ends_a_run_early_and_never_late():
    assert replace(PLAN, max_steps=4).steps == 4
    assert replace(PLAN, max_steps=1000).steps == PLAN.steps == 9


@pytest.mark.parametrize("warm", [0, 3])
def test_learning_rates_are_those_of_the_formulas(warm: int):
    total, peak = 12, 2e-3
    plan = replace(PLAN, n=48, epochs=1, warmup=warm / total)
    assert plan.steps == total
    shapes = {
        "constant": lambda _: 1.0,
        "linear": lambda share: 1 - share,
        "cosine": lambda share: math.cos(math.pi * share / 2) ** 2,
    }
    for schedule, shape in shapes.items():
        found = [replace(plan, schedule=schedule).learning_rate(s) for s in range(total)]
        rising = [peak * (s + 1) / warm for s in range(warm)]
        falling = [peak * shape((s - warm) / (total - warm)) for s in range(warm, total)]
        np.testing.assert_allclose(found, rising + falling, rtol=1e-12)


@pytest.mark.parametrize(("schedule", "name"), [("linear", "linear"), ("cosine", "cosine")])
def test_without_warm_up_they_are_those_of_transformers(schedule: str, name: str):
    import torch
    from transformers import get_scheduler

    plan = replace(PLAN, schedule=schedule)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=plan.lr)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=plan.steps)
    theirs = []
    for _ in range(plan.steps):
        theirs.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose([plan.learning_rate(s) for s in range(plan.steps)], theirs, rtol=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_no_step_is_wasted_at_rate_zero(warmup: float, schedule: str, epochs: int):
    plan = replace(PLAN, warmup=warmup, schedule=schedule, epochs=epochs)
    assert all(0 < plan.learning_rate(s) <= plan.lr for s in range(plan.steps))
