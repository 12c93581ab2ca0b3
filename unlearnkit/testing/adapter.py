"""What an adapter must keep to."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlearnkit.contracts import Adapter
from unlearnkit.losses import label_scores
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract


class AdapterContract(Contract):
    """An addition begins at nothing, is all that is trained, and can be folded in and taken out again."""

    kind: ClassVar[str] = "adapter"
    plugin: ClassVar[type[Adapter]]

    def wrapped(self, *, only: str = "", seed: int = 0) -> nn.Module:
        """The tiny model with the addition in it, for an algorithm that trains what begins with `only`."""
        model: nn.Module = material.tiny_model().eval()
        self.make().wrap(model, [name for name, _ in model.named_parameters() if name.startswith(only)], seed)
        return model

    def moved(self, *, only: str = "") -> nn.Module:
        """The same after some training, as it were."""
        model = self.wrapped(only=only)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=generator) / 10)
        return model

    def test_training_begins_at_the_model_as_it_is(self) -> None:
        torch.testing.assert_close(_says(self.wrapped()), _says(material.tiny_model()))

    def test_the_addition_alone_is_trained(self) -> None:
        trained = [parameter.requires_grad for parameter in self.wrapped().parameters()]
        own = len(list(material.tiny_model().parameters()))
        assert trained.count(False) == own, "a parameter of the model itself is trainable"
        assert any(trained), "there is nothing to train"

    def test_nothing_is_added_to_what_the_algorithm_does_not_train(self) -> None:
        before, model = _weights(material.tiny_model()), self.moved(only="model.layers.0.")
        with self.make().folded(model):
            changed = {name for name, weight in _weights(model).items() if not torch.equal(weight, before[name])}
        assert changed, "the addition changes nothing"
        assert all(name.startswith("model.layers.0.") for name in changed), changed

    def test_all_chance_is_the_seeds(self) -> None:
        state = torch.get_rng_state()
        one = _weights(self.wrapped(seed=3))
        assert torch.equal(torch.get_rng_state(), state), "wrapping draws from torch's own generator"
        torch.rand(1)
        again = _weights(self.wrapped(seed=3))
        assert all(torch.equal(one[name], again[name]) for name in one), "equal seeds gave other weights"

    def test_folded_it_is_a_plain_model_that_says_the_same(self) -> None:
        model = self.moved()
        said = _says(model)
        with self.make().folded(model):
            assert _weights(model).keys() == _weights(material.tiny_model()).keys()
            torch.testing.assert_close(_says(model), said)

    def test_afterwards_it_is_bit_for_bit_as_before(self) -> None:
        model = self.moved()
        before = _weights(model)
        with self.make().folded(model), torch.no_grad():
            for parameter in model.parameters():
                assert parameter.isfinite().all()
        after = _weights(model)
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)

    def test_options_are_seen_to_fit_without_memory(self) -> None:
        with torch.device("meta"):
            model = type(material.tiny_model())(material.tiny_model().config)
        self.make().wrap(model, [name for name, _ in model.named_parameters()], 0)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _says(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return label_scores(model.eval(), material.batch()).logprobs
