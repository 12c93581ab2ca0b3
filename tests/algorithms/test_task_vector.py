"""The task vector's negation against fine-tuning, which knows nothing of it."""

from __future__ import annotations

import pytest
import torch

from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.task_vector import TaskVector
from unlearnkit.contracts import Algorithm
from unlearnkit.errors import UnlearnkitError
from unlearnkit.testing import material
from unlearnkit.training.finetune import FineTuning
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.probes import Probes

from . import naive_tokens as naive
from .stepping import FORGET, RETAIN, llama, loss_and_gradient, step


def trainer(algorithm: Algorithm, lr: float, *, recompute: bool = False) -> Trainer:
    plan = TrainingPlan(
        n=4, epochs=4, max_steps=None, batch_size=2, grad_accum=1, lr=lr, schedule="linear", warmup=0.0,
        weight_decay=0.0, max_grad_norm=0.0, seed=0, recompute=recompute,
    )  # fmt: skip
    return Trainer(
        model=llama(), algorithm=algorithm, name="tested", plan=plan, sets={"forget": FORGET, "retain": RETAIN},
        draw=lambda step: [0, 2] if step % 2 else [3, 1], pad=0, probes=Probes(list("abcd")), probe_every=1,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_it_takes_away_what_fine_tuning_adds(scale: float):
    """At λ times its learning rate, as Adam's steps have that length whatever the gradient's."""
    start = dict(llama().named_parameters())
    tuned, negated = trainer(FineTuning(), 1e-3), trainer(TaskVector(scale=scale), scale * 1e-3)
    losses = [[row["forget"] for row in each.steps()] for each in (tuned, negated)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5), "what is descended is the fine-tuned model's loss"
    added = {name: p.detach() - start[name].detach() for name, p in tuned.model.named_parameters()}
    for name, parameter in negated.model.named_parameters():
        expected = start[name].detach() - scale * added[name]
        assert (parameter - expected).norm() < 1e-3 * scale * added[name].norm(), name
    assert dict(negated.sweep("forget", [0]))[0] > dict(tuned.sweep("forget", [0]))[0] + 0.1


def test_value_and_gradient():
    algorithm = TaskVector(scale=2.0, alpha=0.5)
    model, start, other = llama(0), llama(1), llama(2)
    loss, gradient = loss_and_gradient(algorithm, step(algorithm, model, start, padding=2))
    with torch.no_grad():
        for image, theta, first in zip(other.parameters(), model.parameters(), start.parameters(), strict=True):
            image.copy_(first - (theta - first) / 2.0)
    forget = naive.per_token(other, FORGET, naive.nll)
    forget.backward()
    retain = 0.5 * naive.per_token(model, RETAIN, naive.nll)
    model.zero_grad(set_to_none=True)
    retain.backward()
    torch.testing.assert_close(loss, (forget + retain).detach(), rtol=1e-8, atol=0)
    for (name, theta), image in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(gradient[name], theta.grad - image.grad / 2.0, rtol=1e-8, atol=1e-12)


def test_what_is_recorded_is_the_models_own_and_not_its_images():
    negated = trainer(TaskVector(), 1e-3)
    list(negated.steps())
    assert dict(enumerate(negated.probes.known(negated.done))) == dict(negated.sweep("forget", range(4)))
    assert all(row.swept for row in negated.probes.take()), "what the mirror image says of a batch is not recorded"


def test_a_run_goes_on_from_its_state_in_the_same_bits():
    through, first, second = (trainer(TaskVector(scale=0.5), 1e-3) for _ in range(3))
    rows = list(through.steps())
    taken = [row for _, row in zip(range(3), first.steps(), strict=False)]
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()}, 3)
    assert taken + list(second.steps()) == rows
    assert all(torch.equal(a, b) for a, b in zip(through.model.parameters(), second.model.parameters(), strict=True))


def test_activations_that_are_computed_again_would_be_another_models():
    with pytest.raises(UnlearnkitError, match="cannot be computed again"):
        list(trainer(TaskVector(), 1e-3, recompute=True).steps())


def test_a_mirror_needs_the_starting_model():
    with pytest.raises(UnlearnkitError, match="reads_reference"):
        material.step(GradDiff()).mirrored(1.0)
