"""What an attack must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from unlearnkit.checks import checked_condition
from unlearnkit.contracts import Attack, Condition, Target
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract


class AttackContract(Contract):
    """Conditions have names of their own and come again, and the model is left as it was."""

    kind: ClassVar[str] = "attack"
    plugin: ClassVar[type[Attack]]

    def held(self, target: Target) -> Iterator[Condition]:
        """The checked conditions, one after the other."""
        names: list[str] = []
        for condition in self.make().conditions(target):
            checked = checked_condition("tested", condition, names, [sample.id for sample in target.samples])
            assert checked.template is None or checked.template in target.templates, "an unknown template"
            names.append(checked.name)
            yield checked

    def test_there_are_conditions(self) -> None:
        assert list(self.held(material.target())), "nothing is attacked"

    def test_a_condition_asks_in_evaluation_mode(self) -> None:
        target = material.target()
        for condition in self.held(target):
            assert not target.model.training, f"{condition.name}: the model is in training mode"

    def test_the_same_conditions_come_again(self) -> None:
        assert self._seen(0) == self._seen(1), "a condition depends on more than options and target"

    def test_it_does_not_depend_on_sets_that_are_not_there(self) -> None:
        target = material.target()
        target.sets = {}
        list(self.held(target))

    def test_afterwards_weights_are_bit_for_bit_as_before(self) -> None:
        with _unchanged() as target:
            list(self.held(target))

    def test_stopped_in_the_middle_weights_are_as_before(self) -> None:
        with _unchanged() as target:
            conditions = self.make().conditions(target)
            next(conditions)
            conditions.close()

    def test_shown_are_forget_samples(self) -> None:
        target = material.target()
        shown = [sample.id for sample in self.make().shown(target.samples, target.sets)]
        assert len(set(shown)) == len(shown), "a sample is shown twice"
        assert set(shown) <= {sample.id for sample in target.samples}, "other samples than the target's"

    def _seen(self, chance: int) -> list[object]:
        """Each condition as a caller finds it: its samples, a checksum of the weights, tokens that it picks."""
        torch.manual_seed(chance)
        target, seen = material.target(), list[object]()
        for condition in self.held(target):
            asked = target.samples if condition.samples is None else condition.samples
            weights = [float(weight.double().sum()) for weight in _weights(target.model).values()]
            picked: list[int] = []
            if condition.choose is not None:
                choose = condition.choose(asked)
                logits = torch.linspace(0, 1, material.VOCABULARY).repeat(len(asked), 1)
                picked = choose(logits, range(len(asked))).tolist()
            seen.append((condition.name, condition.template, list(asked), condition.reads, weights, picked))
        return seen


@contextmanager
def _unchanged() -> Iterator[Target]:
    """A target whose model is to be the same after the block."""
    target = material.target()
    before = _weights(target.model)
    yield target
    after = _weights(target.model)
    assert all(torch.equal(after[name], before[name]) for name in before), "weights have changed"
    assert not target.model.training, "the model is left in training mode"


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}
