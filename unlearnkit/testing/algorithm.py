"""What an unlearning method must keep to."""

from __future__ import annotations

from typing import ClassVar

import torch

from unlearnkit.checks import checked_terms
from unlearnkit.contracts import Algorithm, Term
from unlearnkit.testing import material
from unlearnkit.testing.contract import Contract
from unlearnkit.training.step import TrainingStep


class AlgorithmContract(Contract):
    """Losses are per sample, finite, differentiable, blind to padding, and leave everything else alone."""

    kind: ClassVar[str] = "algorithm"
    plugin: ClassVar[type[Algorithm]]

    def terms(self, at: TrainingStep) -> dict[str, Term]:
        """The checked terms for a step, with generators seeded as the training loop does."""
        torch.manual_seed(0)
        return checked_terms("tested", self.make().losses(at), at)

    def test_losses_are_finite_numbers_one_a_sample(self) -> None:
        for name, term in self.terms(material.step(self.make())).items():
            assert torch.isfinite(term.values).all(), f"the {name} term is not finite: {term.values}"

    def test_has_a_forget_term(self) -> None:
        assert "forget" in self.terms(material.step(self.make())), 'unlearning needs a term "forget"'

    def test_reads_retain_samples_as_declared(self) -> None:
        algorithm = self.make()
        terms = self.terms(material.step(algorithm))
        assert ("retain" in terms) == algorithm.uses_retain, (
            f"uses_retain is {algorithm.uses_retain}, yet the terms are {', '.join(terms)}"
        )

    def test_gradient_reaches_the_weights(self) -> None:
        at = material.step(self.make())
        torch.autograd.backward(material.total(self.terms(at), at))
        gradients = [p.grad for p in at.model.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in gradients), "a gradient is not finite"
        assert any(gradient.any() for gradient in gradients), "no weight has a gradient"

    def test_padding_changes_no_loss(self) -> None:
        plain, padded = (self.terms(material.step(self.make(), padding=columns)) for columns in (0, 7))
        for name, term in plain.items():
            torch.testing.assert_close(padded[name].values, term.values, rtol=1e-4, atol=1e-5)

    def test_same_step_gives_same_bits(self) -> None:
        first, second = (self.terms(material.step(self.make())) for _ in range(2))
        for name, term in first.items():
            assert torch.equal(term.values, second[name].values), f"the {name} term differs when repeated"

    def test_leaves_the_model_and_the_process_alone(self) -> None:
        at = material.step(self.make())
        before = {name: tensor.clone() for name, tensor in at.model.state_dict().items()}
        process = _process_state()
        self.terms(at)
        assert _process_state() == process, "losses() changed a global setting of torch"
        for name, tensor in at.model.state_dict().items():
            assert torch.equal(tensor, before[name]), f"losses() changed {name}"
        assert all(p.grad is None for p in at.model.parameters()), "losses() ran a backward pass into the weights"


def _process_state() -> tuple[object, ...]:
    return torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
