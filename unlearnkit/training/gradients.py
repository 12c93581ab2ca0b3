"""One optimiser step's gradients, over all of its samples: of the whole loss, or term by term for a wrapper.

Denominators are those of the step, so that accumulating small batches equals one large batch, on one process or many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from unlearnkit.contracts import Gradient, Gradients, Term
from unlearnkit.errors import UnlearnkitError
from unlearnkit.training.team import like, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.nn import Parameter

    from unlearnkit.training.step import TrainingStep
    from unlearnkit.training.team import Team


@dataclass
class StepGradients(Gradients):
    """Sweeps over the micro-batches of one step.

    `micro(together)` makes this process's part of the micro-batches anew, with forward passes shared or each set's own,
    and a weight that is 0 where another's samples only keep it in step; `losses` is the algorithm's loss, checked;
    `divisor(name, term)` says what a term is divided by.
    """

    parameters: Sequence[Parameter]
    step: int
    seed: int
    state: dict[str, Gradient]
    micro: Callable[[bool], Iterator[tuple[TrainingStep, float]]]
    losses: Callable[[TrainingStep], dict[str, Term]]
    divisor: Callable[[str, Term], int]
    team: Team
    totals: dict[str, float] = field(default_factory=dict)
    """The step's terms without their weights, and the "loss" with them, from the first sweep."""
    per_token: set[str] = field(default_factory=set)
    """Terms that are means over tokens."""
    nll: list[tuple[int, float]] = field(default_factory=list)
    """(row, mean NLL) of forget samples, from the first sweep."""

    def whole(self) -> None:
        """The gradient of the loss, left in the parameters' `.grad`."""
        for at, parts in self._parts(together=True):
            torch.autograd.backward(torch.stack([term.weight * parts[name] for name, term in at.items()]).sum())
        self._sum()

    def terms(self, *names: str) -> dict[str, Gradient]:
        found: dict[str, list[Tensor]] = {}
        for at, parts in self._parts(together=False):
            wanted = [name for name in at if not names or name in names]
            for name in wanted:
                torch.autograd.backward(at[name].weight * parts[name], retain_graph=name != wanted[-1])
                self._harvest(found.setdefault(name, [torch.zeros_like(p) for p in self.parameters]))
        if missing := [name for name in names if name not in found]:
            raise UnlearnkitError(f'the loss has no term "{missing[0]}"', code="plugin-contract")
        for gradient in found.values():
            self.team.sum(gradient)
        return dict(found)

    @contextmanager
    def beside(self, offset: Gradient) -> Iterator[None]:
        before = [p.detach().clone() for p in self.parameters]
        try:
            with torch.no_grad():
                for parameter, move in zip(self.parameters, offset, strict=True):
                    parameter.add_(move)
            yield
        finally:
            with torch.no_grad():
                for parameter, old in zip(self.parameters, before, strict=True):
                    parameter.copy_(old)

    def signs(self) -> Gradient:
        generator = torch.Generator(self.parameters[0].device).manual_seed(self.seed)

        def drawn(parameter: Parameter) -> Tensor:
            bits = torch.randint(0, 2, parameter.shape, generator=generator, device=parameter.device)
            return like((2 * bits - 1).to(parameter.dtype), parameter)

        return [drawn(parameter) for parameter in self.parameters]

    def dot(self, one: Gradient, other: Gradient) -> float:
        return sum(float(whole((a.double() * b.double()).sum())) for a, b in zip(one, other, strict=True))

    def use(self, gradient: Gradient) -> None:
        """Leave a gradient in the parameters' `.grad`."""
        for parameter, value in zip(self.parameters, gradient, strict=True):
            parameter.grad = value

    def _parts(self, *, together: bool) -> Iterator[tuple[dict[str, Term], dict[str, Tensor]]]:
        """(terms, their shares of the step's values) of each micro-batch; notes what the first sweep finds."""
        first = not self.totals
        for micro, weight in self.micro(together):
            at = self.losses(micro)
            parts = {name: weight * term.values.sum() / self.divisor(name, term) for name, term in at.items()}
            if first:
                for name, part in parts.items():
                    self._count(name, float(part.detach()))
                    self._count("loss", at[name].weight * float(part.detach()))
                    if at[name].per == "token":
                        self.per_token.add(name)
                self.nll += micro.found() if weight else []
            yield at, parts
        if first:
            self.totals, self.nll = self.team.merge(self.totals, self.nll)

    def _count(self, name: str, value: float) -> None:
        self.totals[name] = self.totals.get(name, 0.0) + value

    def _harvest(self, into: list[Tensor]) -> None:
        for parameter, total in zip(self.parameters, into, strict=True):
            if parameter.grad is not None:
                total.add_(parameter.grad)
                parameter.grad = None

    def _sum(self) -> None:
        if self.team.size > 1:  # whom no sample of this process reaches has a gradient of 0, not none
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        self.team.sum([p.grad for p in self.parameters if p.grad is not None])
