"""What a wrapper of gradients must keep to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from unlearnkit.algorithms.ga import GA
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.checks import checked_gradient
from unlearnkit.contracts import Algorithm, Gradient, Wrapper
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract
from unlearnkit.training.gradients import StepGradients
from unlearnkit.training.loop import Trainer


class WrapperContract(Contract):
    """One finite tensor a parameter, from the step and the kept state alone; the weights stay as they were."""

    kind: ClassVar[str] = "wrapper"
    plugin: ClassVar[type[Wrapper]]

    def gradient(self, gradients: StepGradients) -> Gradient:
        """The checked gradient."""
        return checked_gradient("tested", self.make().gradient(gradients), gradients.parameters)

    def gradients(
        self, trainer: Trainer | None = None, step: int = 0, state: Mapping[str, Gradient] | None = None
    ) -> StepGradients:
        """What the wrapper is given in a step over all samples."""
        found = (trainer or self.trainer()).step_gradients(step, range(4))
        found.state.update(state or {})
        return found

    def trainer(self, algorithm: Algorithm | None = None, **options: Any) -> Trainer:
        """A trainer with the wrapper around an algorithm that has both terms."""
        return material.trainer(algorithm or GradDiff(), wrapper=self.make(), **options)

    def test_gradient_is_finite(self) -> None:
        gradient = self.gradient(self.gradients())
        assert all(torch.isfinite(tensor).all() for tensor in gradient), "a gradient is not finite"
        assert any(tensor.any() for tensor in gradient), "the gradient is zero"

    def test_same_step_gives_same_bits(self) -> None:
        torch.manual_seed(0)
        first = self.gradient(self.gradients())
        torch.manual_seed(1)
        second = self.gradient(self.gradients())
        assert _equal(first, second), "the gradient differs when repeated: what is random comes from `gradients.seed`"

    def test_weights_are_as_before_to_the_bit(self) -> None:
        trainer = self.trainer()
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        self.gradient(self.gradients(trainer))
        for name, tensor in trainer.model.state_dict().items():
            assert torch.equal(tensor, before[name]), f"{name} has changed"

    def test_state_is_one_tensor_a_parameter(self) -> None:
        gradients = self.gradients()
        self.gradient(gradients)
        for key, kept in gradients.state.items():
            assert "." not in key, f"{key}: a dot ends a key in a checkpoint"
            assert [t.shape for t in kept] == [p.shape for p in gradients.parameters], f"{key} is not shaped so"

    def test_state_is_replaced_and_not_written_to(self) -> None:
        """A step that diverges is not applied, and what it was given stays."""
        first = self.gradients()
        self.gradient(first)
        before = {key: [tensor.clone() for tensor in kept] for key, kept in first.state.items()}
        self.gradient(self.gradients(step=1, state=first.state))
        assert all(_equal(first.state[key], kept) for key, kept in before.items())

    def test_interrupted_and_resumed_gives_the_same_bits(self) -> None:
        through, first, second = self.trainer(), self.trainer(), self.trainer()
        rows = list(through.steps())
        taken = next(first.steps())
        second.load_state({name: tensor.clone() for name, tensor in first.state().items()}, 1)
        assert [taken, *second.steps()] == rows
        after = second.state()
        assert all(torch.equal(tensor, after[name]) for name, tensor in through.state().items())

    def test_small_batches_are_one_large_batch(self) -> None:
        whole, parts = (self.gradient(self.gradients(self.trainer(batch_size=size, precise=True))) for size in (4, 1))
        apart = math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(whole, parts, strict=True)))
        assert apart <= 1e-4 * math.sqrt(sum(float(a.square().sum()) for a in whole))

    def test_needs_no_term_that_it_does_not_name(self) -> None:
        if "retain" not in self.plugin.terms:
            self.gradient(self.gradients(self.trainer(GA())))


def _equal(one: Gradient, other: Gradient) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
