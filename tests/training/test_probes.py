"""NLLs on the way, against a second loop that computes them text by text, and what is known when a step is chosen."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from unlearnkit.algorithms.npo import NPO
from unlearnkit.contracts import Algorithm, Step
from unlearnkit.store.records import ProbeRow
from unlearnkit.testing.material import encoded, tiny_model
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan, by_epoch
from unlearnkit.training.probes import Probes

PLAN = TrainingPlan(
    n=7, epochs=2, max_steps=None, batch_size=2, grad_accum=2, lr=1e-2, schedule="constant", warmup=0.0,
    weight_decay=0.0, max_grad_norm=1.0, seed=5,
)  # fmt: skip
FORGET, RETAIN = encoded(7, seed=1), encoded(5, seed=2)
ORDERS = [[3, 1, 4, 0, 5, 2, 6], [6, 5, 3, 3, 2, 1, 0]]
IDS = list("abcdefg")


def trainer(
    every: int | None, ids: list[str] = IDS, model: nn.Module | None = None, algorithm: Algorithm | None = None
) -> Trainer:
    return Trainer(
        model=model or tiny_model(), algorithm=algorithm or NPO(), name="method", plan=PLAN,
        sets={"forget": FORGET, "retain": RETAIN}, draw=by_epoch(PLAN, lambda epoch: ORDERS[epoch]), pad=0,
        anchors={"forget": torch.linspace(10, 30, 7)}, probes=Probes(ids), probe_every=every,
    )  # fmt: skip


def nll_alone(model: nn.Module, row: int) -> float:
    """Mean NLL of one text, from all its logits."""
    ids, start = torch.tensor([FORGET[row].ids]), max(FORGET[row].labels_from, 1)
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    return float(F.cross_entropy(logits[start - 1 : -1], ids[0, start:]))


def watched(mine: Trainer) -> list[list[float]]:
    """Train, and measure every text alone before the first and after every step: [updates][row]."""
    found = [[nll_alone(mine.model, row) for row in range(7)]]
    for _ in mine.steps():
        found.append([nll_alone(mine.model, row) for row in range(7)])
    return found


@pytest.mark.parametrize("every", [None, 1, 2, 3, 100])
def test_nlls_are_those_of_the_weights_before_the_step_and_of_sweeps_when_due(every: int | None):
    mine = trainer(every)
    truth = watched(mine)
    rows = mine.probes.take()
    sweeps = set() if every is None else {u for u in range(5) if u % every == 0 or u == 4}
    batches = {(step, IDS[r]) for step in range(4) for r in PLAN.rows(step, ORDERS[step // 2]) if step not in sweeps}
    assert {(r.updates, r.sample) for r in rows if r.swept} == {(u, i) for u in sweeps for i in IDS}
    assert {(r.updates, r.sample) for r in rows if not r.swept} == batches
    assert len({(r.updates, r.sample) for r in rows}) == len(rows), "one row of a sample that is twice in a batch"
    assert [r.updates for r in rows] == sorted(r.updates for r in rows)
    assert [r.nll for r in rows] == pytest.approx([truth[r.updates][IDS.index(r.sample)] for r in rows], rel=1e-5)
    assert mine.probes.take() == []


def test_looking_changes_nothing():
    """No weight, no term, no random number, no mode."""
    blind, watching = trainer(None), trainer(1)
    blind.probes = None
    seen = []
    for _ in watching.steps():
        seen.append((watching.model.training, torch.get_rng_state()))
    for state, _ in zip(seen, blind.steps(), strict=True):
        assert state[0] and torch.equal(state[1], torch.get_rng_state())
    for left, right in zip(blind.model.parameters(), watching.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_batch_costs_no_pass_and_a_sweep_one_for_each_sample():
    ids = ["a", "b", "a", "c", "d", "b", "e"]
    for every, expected in ((None, 0), (100, 2 * 5)):
        mine, seen = trainer(every, ids), Counter[bool]()

        def count(module: nn.Module, _: object, given: dict, seen: Counter[bool] = seen) -> None:
            seen[module.training] += len(given["input_ids"])

        mine.model.register_forward_pre_hook(count, with_kwargs=True)
        list(mine.steps())
        assert seen[False] == expected
        assert seen[True] == 2 * 14, "the forget samples of two epochs and as many to retain"


def test_a_method_that_never_asks_for_the_forget_scores_leaves_none():
    class Other(Algorithm):
        def losses(self, step: Step):
            return {"forget": step.model(input_ids=step.forget.ids).logits.mean((1, 2))}

    mine = trainer(None, algorithm=Other())
    list(mine.steps())
    assert mine.probes.take() == []


def test_what_is_not_finite_is_none_and_not_known():
    probes = Probes(["a", "b", "c"])
    probes.sweep(0, [(0, 1.5), (1, math.inf), (2, math.nan)])
    assert [row.nll for row in probes.take()] == [1.5, None, None]
    assert np.array_equal(probes.known(0), [1.5, np.nan, np.nan], equal_nan=True)


def test_an_empty_draw_ends_training_with_a_last_sweep():
    mine = trainer(100)
    mine.draw = lambda step: [0, 1] if step < 2 else []
    assert len(list(mine.steps())) == 2
    assert {r.updates for r in mine.probes.take() if r.swept} == {0, 2}


def test_an_empty_draw_by_old_nlls_is_drawn_again_by_new_ones():
    """All look forgotten by a look that never was; the one that is made then says otherwise, also to a resumed run."""

    def run(mine: Trainer) -> Trainer:
        def draw(step: int) -> list[int]:
            fresh = mine.probes.swept == step
            return [0, 1] if step != 2 or fresh else []

        mine.draw = draw
        return mine

    whole = run(trainer(100))
    assert len(list(whole.steps())) == 4
    rows = whole.probes.take()
    assert {r.updates for r in rows if r.swept} == {0, 2, 4}
    first = run(trainer(100))
    for _, _ in zip(range(2), first.steps(), strict=False):
        pass
    second = run(trainer(100, model=tiny_model(seed=4)))
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()}, 2)
    second.probes.restore(rows, 2)
    assert len(list(second.steps())) == 2
    for left, right in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(left, right)


# -------------------------------------------------------------------------------------------------------- what is known

ROWS = st.dictionaries(
    st.tuples(st.integers(0, 6), st.sampled_from("abc")), st.tuples(st.booleans(), st.floats(0, 9)), max_size=15
)


@given(rows=ROWS, updates=st.integers(0, 7))
def test_what_is_known_is_the_newest_of_what_was_there(rows: dict, updates: int):
    """By the definition, and the same from a run that was restored at or after that time."""
    kept = [ProbeRow(u, s, nll, swept) for (u, s), (swept, nll) in sorted(rows.items())]
    expected = []
    for sample in "abcb":
        there = [r for r in kept if r.sample == sample and (r.updates < updates or (r.swept and r.updates == updates))]
        expected.append(there[-1].nll if there else math.nan)
    for now in (updates, updates + 2, 9):
        probes = Probes(list("abcb"))
        probes.restore(kept, now)
        assert np.array_equal(probes.known(updates), expected, equal_nan=True)
        assert probes.take() == []


@pytest.mark.parametrize(("every", "stop"), [(None, 1), (1, 2), (2, 2), (2, 3), (3, 4)])
def test_a_run_that_goes_on_records_and_knows_the_same(every: int | None, stop: int):
    whole = trainer(every)
    list(whole.steps())
    rows = whole.probes.take()
    first = trainer(every)
    for _, _ in zip(range(stop), first.steps(), strict=False):
        pass
    before = first.probes.take()
    # A kill between two checkpoints leaves rows of steps that are then taken again.
    second = trainer(every, model=tiny_model(seed=4))
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()}, stop)
    second.probes.restore(rows, stop)
    assert np.array_equal(second.probes.known(stop), first.probes.known(stop), equal_nan=True)
    list(second.steps())
    assert before + second.probes.take() == rows
    for updates in range(5):
        assert np.array_equal(second.probes.known(updates), whole.probes.known(updates), equal_nan=True)


def test_an_epochs_order_sees_what_was_known_at_its_first_step():
    """Even where it is drawn again in the middle of the epoch."""
    mine = trainer(1)
    list(mine.steps())
    rows = mine.probes.take()
    later = Probes(IDS)
    later.restore(rows, 3)
    assert np.array_equal(later.known(2), [r.nll for r in sorted(rows, key=lambda r: r.sample) if r.updates == 2])


def test_dropout_is_off_in_a_sweep():
    from transformers import LlamaForCausalLM

    model = tiny_model()
    dropping = LlamaForCausalLM(replace_config(model.config, attention_dropout=0.5))
    dropping.load_state_dict(model.state_dict())
    with_dropout, without = trainer(100, model=dropping), trainer(100)
    next(with_dropout.steps()), next(without.steps())
    assert with_dropout.probes.take()[:7] == without.probes.take()[:7]


def replace_config(config, **changes):
    return type(config)(**{**config.to_dict(), **changes})


def test_steps_of_one_plan_have_one_size_whichever_sampler_fills_them():
    plan = replace(PLAN, n=10)
    assert [plan.size(step) for step in range(6)] == [4, 4, 2, 4, 4, 2]
