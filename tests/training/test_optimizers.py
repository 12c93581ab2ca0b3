"""Optimisers and precisions: what they do to a weight, and that a run goes on from their state in the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch

from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.errors import BadInput
from unlearnkit.testing.material import encoded, tiny_model
from unlearnkit.training.loop import Diverged, Trainer
from unlearnkit.training.optimizers import Optimizer
from unlearnkit.training.plan import TrainingPlan, by_epoch
from unlearnkit.training.words import check_optimizer

PLAN = TrainingPlan(
    n=6, epochs=3, max_steps=None, batch_size=3, grad_accum=1, lr=1e-3, schedule="linear", warmup=0.2,
    weight_decay=0.1, max_grad_norm=1.0, seed=5,
)  # fmt: skip
HERE = ("adamw", "adafactor", "sgd")


def trainer(plan: TrainingPlan, algorithm: Algorithm | None = None, model: torch.nn.Module | None = None) -> Trainer:
    return Trainer(
        model=model or tiny_model(), algorithm=algorithm or GradDiff(), name="method", plan=plan, pad=0,
        sets={"forget": encoded(6, seed=1), "retain": encoded(5, seed=2)},
        draw=by_epoch(plan, lambda epoch: [(epoch + i) % 6 for i in range(6)]),
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "mixed-bf16", "bf16"])
@pytest.mark.parametrize("optimizer", HERE)
def test_a_run_goes_on_from_its_state_in_the_same_bits(optimizer: str, precision: str):
    plan = replace(PLAN, optimizer=optimizer, precision=precision)
    through = trainer(plan)
    rows = list(through.steps())
    first = trainer(plan)
    taken = [row for _, row in zip(range(3), first.steps(), strict=False)]
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    second = trainer(plan, model=tiny_model(seed=4))
    second.load_state(state, 3)
    assert taken + list(second.steps()) == rows
    ends = through.state(), second.state()
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_steps_too_small_for_bfloat16_add_up_in_its_copies():
    """1,000 steps of 1e-5 move a weight of 1 by 0.01; one of them alone rounds away."""
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = Optimizer("sgd", {"weight": weight}, lr=1e-5, weight_decay=0.0)
    seen = []
    for _ in range(1000):
        weight.grad = torch.ones(4, dtype=torch.bfloat16)
        optimizer.step(1e-5)
        seen.append(float(weight.detach()[0]))
    assert seen[0] == 1.0
    assert seen[-1] == pytest.approx(0.99, abs=2**-8)
    assert float(optimizer.state()["copy.weight"][0]) == pytest.approx(0.99, rel=1e-4)


def test_the_others_are_torchs_own():
    theirs = {"adamw": torch.optim.AdamW, "adafactor": torch.optim.Adafactor, "sgd": torch.optim.SGD}
    for name, kind in theirs.items():
        ends = []
        for own in (True, False):
            torch.manual_seed(0)
            weight = torch.nn.Parameter(torch.randn(3, 4))
            if own:
                optimizer = Optimizer(name, {"w": weight}, lr=0.1, weight_decay=0.1)
            else:
                other = kind([weight], lr=0.1, weight_decay=0.1)
            for _ in range(3):
                weight.grad = torch.randn(3, 4)
                if own:
                    optimizer.step(0.1)
                else:
                    other.step()
            ends.append(weight.detach().clone())
        assert torch.equal(*ends), name


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BadInput, match="bitsandbytes") as caught:
        check_optimizer("paged-adamw-8bit")
    assert caught.value.hint == "pip install bitsandbytes"


def test_activations_computed_again_change_nothing():
    rows = [list(trainer(replace(PLAN, recompute=recompute)).steps()) for recompute in (False, True)]
    for kept, again in zip(*rows, strict=True):
        assert again == pytest.approx(kept, rel=1e-5)


@pytest.mark.parametrize(
    ("lr", "precision", "moved"), [(1e-3, "bf16", True), (1e-9, "bf16", False), (1e-9, "fp32", True)]
)
def test_whether_the_first_steps_changed_anything_is_known(lr: float, precision: str, moved: bool):
    plan = replace(PLAN, lr=lr, precision=precision, weight_decay=0.0, warmup=0.0, schedule="constant")
    mine = trainer(plan)
    before = {name: p.detach().clone() for name, p in mine.model.named_parameters()}
    steps = mine.steps()
    next(steps), next(steps)
    assert mine.moved is None
    next(steps)
    changed = any(not torch.equal(p, before[name]) for name, p in mine.model.named_parameters())
    assert mine.moved == changed == moved


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("done", [1, 2])
def test_a_run_that_goes_on_within_its_first_steps_knows_it_too(done: int, moved: bool):
    plan = replace(PLAN, lr=1e-3 if moved else 1e-9, precision="bf16", weight_decay=0.0, warmup=0.0)
    first, second = trainer(plan), trainer(plan)
    steps = first.steps()
    for _ in range(done):
        next(steps)
    second.load_state(first.state(), done)
    rest = second.steps()
    for _ in range(done, 3):
        next(rest)
    assert (second.done, second.moved) == (3, moved)


@dataclass(frozen=True)
class Exploding(Algorithm):
    """A retain term that is as told, step by step."""

    terms: tuple[float, ...]

    def losses(self, step: Step) -> Mapping[str, Term]:
        assert step.retain is not None
        at = self.terms[round(step.progress * len(self.terms))]
        kept = step.scores(step.retain)
        return {
            "forget": Term(-step.scores(step.forget).nll, per="token"),
            "retain": Term(kept.nll * 0 + at * kept.tokens, per="token"),
        }


@pytest.mark.parametrize(
    ("terms", "ends"),
    [
        ((0.5, 4.9, 4.9, 5.1, 1.0, 1.0), 3),  # ten times its start
        ((0.01, 0.9, 0.9, 1.1, 0.1, 0.1), 3),  # what began near zero may come to one nat
        ((0.5, 1.0, 4.0, 4.9, 4.0, 1.0), None),
    ],
)
def test_a_retain_loss_that_explodes_ends_the_run_before_the_step(terms: tuple[float, ...], ends: int | None):
    mine = trainer(PLAN, Exploding(terms))
    if ends is None:
        assert len(list(mine.steps())) == len(terms)
        return
    steps = mine.steps()
    for _ in range(ends):
        next(steps)
    before = {name: p.detach().clone() for name, p in mine.model.named_parameters()}
    state = {name: tensor.clone() for name, tensor in mine.state().items()}
    with pytest.raises(Diverged, match=f"step {ends + 1} diverged: retain loss {terms[ends]:g}, more") as caught:
        next(steps)
    assert f"more than 10 times the {terms[0]:g} that it began at" in caught.value.message
    assert "--keep 'retain.nll<=3x'" in (caught.value.hint or "")
    assert all(torch.equal(p, before[name]) for name, p in mine.model.named_parameters())
    later = trainer(PLAN, Exploding(terms))
    later.load_state(state, ends)  # the first value is part of the state
    with pytest.raises(Diverged):
        next(later.steps())
