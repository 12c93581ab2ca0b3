"""The training loop against naive loops, and what it promises about state: bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnkit.algorithms.npo import NPO
from unlearnkit.contracts import Algorithm, Step, Term
from unlearnkit.data.collate import collate
from unlearnkit.errors import UnlearnkitError
from unlearnkit.testing.material import encoded, tiny_model
from unlearnkit.training.finetune import FineTuning
from unlearnkit.training.loop import Diverged, Trainer
from unlearnkit.training.plan import TrainingPlan, by_epoch

PLAN = TrainingPlan(
    n=7, epochs=2, max_steps=None, batch_size=2, grad_accum=2, lr=1e-3, schedule="linear", warmup=0.25,
    weight_decay=0.1, max_grad_norm=1.0, seed=5,
)  # fmt: skip
FORGET, RETAIN = encoded(7, seed=1), encoded(5, seed=2)
ORDERS = [[3, 1, 4, 0, 5, 2, 6], [6, 5, 4, 3, 2, 1, 0]]


@dataclass
class PerSample(Algorithm):
    """A term averaged over samples on one set, over tokens on the other."""

    def losses(self, step: Step) -> Mapping[str, Term]:
        assert step.retain is not None
        forget = step.scores(step.forget)
        return {
            "forget": Term(torch.tanh(-forget.nll / forget.tokens), weight=0.7),
            "retain": Term(step.scores(step.retain).nll, per="token", weight=1.3),
        }


def trainer(algorithm: Algorithm | None = None, plan: TrainingPlan = PLAN, model: nn.Module | None = None) -> Trainer:
    algorithm = algorithm or PerSample()
    return Trainer(
        model=model or tiny_model(),
        algorithm=algorithm,
        name="method",
        plan=plan,
        sets={"forget": FORGET, "retain": RETAIN},
        draw=by_epoch(plan, lambda epoch: ORDERS[epoch]),
        pad=0,
        anchors={"forget": torch.linspace(10, 30, 7)},
    )


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_same_bits(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


# --------------------------------------------------------------------------------------- against other implementations


def full_logit_losses(model: nn.Module, rows: list[int], texts: list) -> tuple[Tensor, Tensor]:
    """Summed NLL and label tokens of each text, one text at a time, from all its logits."""
    nll, tokens = [], []
    for row in rows:
        ids = torch.tensor([texts[row].ids])
        start = max(texts[row].labels_from, 1)
        logits = model(input_ids=ids).logits[0]
        nll.append(F.cross_entropy(logits[start - 1 : -1], ids[0, start:], reduction="sum"))
        tokens.append(ids.shape[1] - start)
    return torch.stack(nll), torch.tensor(tokens)


def test_it_trains_as_a_naive_loop_does():
    """No accumulation, no padding, no shared code but the plan: each step is one big batch, text by text."""
    model = tiny_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PLAN.lr, weight_decay=PLAN.weight_decay)
    losses, norms = [], []
    for step in range(PLAN.steps):
        order = ORDERS[step // 2]
        rows = PLAN.rows(step, order)
        companions = PLAN.companions(step, len(rows), len(RETAIN))
        forget, tokens = full_logit_losses(model, rows, FORGET)
        retain, retain_tokens = full_logit_losses(model, companions, RETAIN)
        loss = 0.7 * torch.tanh(-forget / tokens).mean() + 1.3 * retain.sum() / retain_tokens.sum()
        optimizer.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters()))
        for p in model.parameters():
            p.grad *= min(1.0, PLAN.max_grad_norm / (norm + 1e-6))
        for group in optimizer.param_groups:
            group["lr"] = PLAN.learning_rate(step)
        optimizer.step()
        losses.append(float(loss.detach()))
        norms.append(norm)
    mine = trainer()
    rows = list(mine.steps())
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    assert [row["grad_norm"] for row in rows] == pytest.approx(norms, rel=1e-4)
    assert max(norms) > PLAN.max_grad_norm, "the clipping is exercised"
    assert [row["lr"] for row in rows] == [PLAN.learning_rate(s) for s in range(4)]
    assert [row["epoch"] for row in rows] == [0, 0, 1, 1]
    for name, weight in weights(mine.model).items():
        torch.testing.assert_close(weight, dict(model.named_parameters())[name].detach(), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("algorithm", [PerSample(), FineTuning(), NPO(beta=0.05)], ids=lambda a: type(a).__name__)
def test_small_batches_accumulated_are_one_large_batch(algorithm: Algorithm):
    grads = []
    for batch_size, grad_accum in ((4, 1), (2, 2), (1, 4)):
        mine = trainer(algorithm, replace(PLAN, batch_size=batch_size, grad_accum=grad_accum, max_grad_norm=0.0))
        totals = mine._gradients(0, PLAN.rows(0, ORDERS[0])).totals
        grads.append((totals, {name: p.grad.clone() for name, p in mine.model.named_parameters()}))
    (totals, whole), *others = grads
    for other_totals, gradient in others:
        assert other_totals == pytest.approx(totals, rel=1e-5)
        for name in whole:
            torch.testing.assert_close(gradient[name], whole[name], rtol=1e-4, atol=1e-6)


def test_fine_tuning_is_the_language_models_own_loss():
    plan = replace(PLAN, batch_size=7, grad_accum=1, max_steps=1)
    mine = trainer(FineTuning(), plan)
    batch = collate(FORGET, ORDERS[0], pad=0)
    theirs = tiny_model()(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels).loss
    (row,) = mine.steps()
    assert row["loss"] == row["forget"] == pytest.approx(float(theirs.detach()), rel=1e-6)


@pytest.mark.parametrize(("limit", "clipped"), [(0.5, True), (1e6, False), (0.0, False)])
def test_gradients_are_clipped_to_the_limit_and_0_means_never(limit: float, clipped: bool, monkeypatch):
    seen: list[float] = []

    class Watching(torch.optim.AdamW):
        def step(self, closure=None):
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            seen.append(math.sqrt(sum(float(g.double().square().sum()) for g in grads)))
            super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watching)
    mine = trainer(plan=replace(PLAN, max_grad_norm=limit, max_steps=1))
    (row,) = mine.steps()
    assert row["grad_norm"] > 0.5
    assert seen == [pytest.approx(limit if clipped else row["grad_norm"], rel=1e-5)]


def test_a_weight_that_takes_no_part_is_left_alone():
    model = tiny_model()
    frozen = model.model.layers[0].self_attn.q_proj.weight
    frozen.requires_grad_(False)
    before = frozen.clone()
    mine = trainer(model=model)
    list(mine.steps())
    assert torch.equal(frozen, before)
    assert "model.model.layers.0.self_attn.q_proj.weight" not in mine.state(), "it stands in the starting model"


# ------------------------------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_goes_on_from_its_state_in_the_same_bits(stop: int):
    through = trainer()
    rows = list(through.steps())
    first = trainer()
    taken = [row for _, row in zip(range(stop), first.steps(), strict=False)]
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    torch.manual_seed(99)  # nothing outside the state matters
    second = trainer(model=tiny_model(seed=4))
    second.load_state(state, stop)
    assert_same_bits(second.state(), state)
    assert taken + list(second.steps()) == rows
    assert_same_bits(second.state(), through.state())


@dataclass
class Dropping(Algorithm):
    """Draws from every generator that a method might use."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        import random

        import numpy as np

        noise = torch.rand(()) + random.random() + np.random.rand()
        return {"forget": noise * F.dropout(step.scores(step.forget).nll, 0.5)}


def test_randomness_belongs_to_the_step():
    through = list(trainer(Dropping()).steps())
    first = trainer(Dropping())
    steps = first.steps()
    taken = [next(steps), next(steps)]
    second = trainer(Dropping())
    second.load_state(first.state(), 2)
    assert taken + list(second.steps()) == through
    assert list(trainer(Dropping(), replace(PLAN, seed=6)).steps()) != through


def test_without_the_optimisers_part_the_bits_differ():
    through, first, second = trainer(), trainer(), trainer()
    rows = list(through.steps())
    steps = first.steps()
    next(steps), next(steps)
    second.load_state({n: t for n, t in first.state().items() if not n.startswith("optimizer.")}, 2)
    assert list(second.steps()) != rows[2:]


def test_a_tied_weight_stands_in_a_state_once():
    mine = trainer()
    names = [name for name in mine.state() if name.startswith("model.")]
    assert len(names) == len(list(mine.model.parameters()))
    assert mine.model.lm_head.weight is mine.model.model.embed_tokens.weight


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("model.model.norm.weight"),
        lambda s: s.update({"model.model.norm.weight": torch.ones(1)}),
        lambda s: s.update({"model.model.norm.weight": s["model.model.norm.weight"].double()}),
        lambda s: s.update({"model.more": torch.ones(1)}),
    ],
    ids=["missing", "shape", "type", "more"],
)
def test_a_state_of_another_model_is_refused_whole(spoil):
    mine = trainer()
    state = {name: tensor.clone() + 1 for name, tensor in mine.state().items()}
    spoil(state)
    before = weights(mine.model)
    with pytest.raises(UnlearnkitError) as caught:
        mine.load_state(state, 1)
    assert caught.value.code == "checkpoint"
    assert_same_bits(weights(mine.model), before)
    assert mine.done == 0


# -------------------------------------------------------------------------------------------------------------- faults


@dataclass
class Faulty(Algorithm):
    """Fine for some steps; then as told."""

    fault: str
    after: int = 2

    def losses(self, step: Step) -> Mapping[str, Term]:
        nll = step.scores(step.forget).nll
        if step.progress * PLAN.steps < self.after:
            return {"forget": Term(nll, per="token")}
        if self.fault == "gradient":
            return {"forget": Term(nll + (nll - nll.detach()).abs().sqrt() * 0)}  # finite, with d√x/dx at 0 = ∞
        if self.fault == "raises":
            raise ZeroDivisionError("no reason")
        return {"forget": Term(nll * float(self.fault), per="token")}


@pytest.mark.parametrize("fault", ["nan", "inf", "gradient"])
def test_a_step_that_is_not_finite_is_not_taken(fault: str):
    mine, sound = trainer(Faulty(fault)), trainer(Faulty("1"), replace(PLAN, max_steps=2))
    list(sound.steps())
    steps = mine.steps()
    next(steps), next(steps)
    before = {name: tensor.clone() for name, tensor in mine.state().items()}
    with pytest.raises(Diverged, match=r"step 3 diverged.* the step was not applied") as caught:
        next(steps)
    assert caught.value.code == "diverged" and "lr 0.00" in caught.value.message
    assert mine.done == 2
    assert_same_bits(mine.state(), before)
    assert all(p.grad is None for p in mine.model.parameters())
    for name, weight in weights(sound.model).items():
        assert torch.isfinite(weight).all(), name


def test_a_method_that_raises_is_named_with_its_step():
    mine = trainer(Faulty("raises"))
    with pytest.raises(
        UnlearnkitError, match="algorithm method failed at step 3: ZeroDivisionError: no reason"
    ) as caught:
        list(mine.steps())
    assert caught.value.code == "plugin-error"


def test_a_reference_that_was_not_asked_for_is_refused():
    @dataclass
    class Careless(Algorithm):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            assert step.retain is not None
            return {"retain": step.scores(step.retain).nll - step.reference_nll(step.retain)}

    with pytest.raises(UnlearnkitError, match="retain set's reference") as caught:
        list(trainer(Careless()).steps())
    assert caught.value.code == "plugin-contract"
