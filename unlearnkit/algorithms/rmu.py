"""RMU: inside the network, forget samples are steered to a random direction and retain samples stay where they were."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from unlearnkit.algorithms.balance import Weighed, retained
from unlearnkit.contracts import Batch, Step, Term
from unlearnkit.errors import BadInput
from unlearnkit.options import option

if TYPE_CHECKING:
    from torch import Tensor, nn

DEPTH = 7
"""The paper's layer."""


@dataclass(frozen=True)
class Steering(Weighed):
    """L = γ mean_i D(h(x_i), target) + α mean_j D(h(x_j), h^ref(x_j)), with h the hidden states behind a layer and
    D the squared distance, averaged over the hidden dimensions and over the sample's label tokens.

    Blocks above the layer do not run, and a few matrices below it are all that is trained.
    """

    alpha: float = option(4.0, "weight of the retain term; at 0 no retain samples are read", ge=0)
    layer: int | Literal["auto"] = option(
        "auto", "decoder block behind which states are steered, from 0; auto: 7, or a shallow model's middle", ge=0
    )
    depth: int = option(3, "how many blocks are trained: the layer and those right below it", ge=1)
    parameters: str = option("mlp.down_proj.weight", "the trained matrix of a block, by its name in the block")

    @property
    def reads_reference(self) -> bool:
        return self.uses_retain

    def trains(self, parameter: str, model: nn.Module) -> bool:
        trained = model.get_parameter(parameter)
        return any(matrix is trained for matrix in self._matrices(model))

    def begin(self, model: nn.Module, seed: int) -> dict[str, Tensor]:
        """A unit vector with positive entries, as the authors draw it."""
        import torch

        config: Any = model.config
        drawn = torch.rand(config.get_text_config().hidden_size, generator=torch.Generator().manual_seed(seed))
        return {"direction": (drawn / drawn.norm()).to(next(model.parameters()).device)}

    @abstractmethod
    def target(self, step: Step, layer: int) -> Tensor:
        """Where the hidden states of the forget batch are steered to, [H] or [B, T, H]; `layer` as `Step.hidden` counts
        it."""

    def forget(self, step: Step) -> Term:
        layer = self._layer(step.model) + 1
        return Term(_distance(step.forget, step.hidden(step.forget, layer), self.target(step, layer)))

    def keep(self, step: Step) -> Term:
        layer, retain = self._layer(step.model) + 1, retained(step)
        return Term(_distance(retain, step.hidden(retain, layer), step.reference.hidden(retain, layer)))

    def _layer(self, model: nn.Module) -> int:
        from unlearnkit.losses import decoder_blocks

        last = len(decoder_blocks(model)) - 1
        layer = min(DEPTH, last // 2) if self.layer == "auto" else self.layer
        if layer > last:
            raise BadInput(f"-o layer must be 0 … {last} for this model, got {layer}", code="option")
        return layer

    def _matrices(self, model: nn.Module) -> list[Tensor]:
        """What is trained."""
        from unlearnkit.losses import decoder_blocks

        top = self._layer(model) + 1
        blocks = [dict(block.named_parameters()) for block in decoder_blocks(model)[max(0, top - self.depth) : top]]
        if not all(self.parameters in block for block in blocks):
            raise BadInput(
                f"a decoder block of this model has no {self.parameters}",
                hint=f"-o parameters=…: one of {', '.join(blocks[0])}",
                code="option",
            )
        return [block[self.parameters] for block in blocks]


@dataclass(frozen=True)
class RMU(Steering):
    """Representation misdirection: forget samples to a long random vector, retain samples where they were.

        L = γ mean_i |h(x_i) - c u|² / H + α mean_j |h(x_j) - h^ref(x_j)|² / H

    h are the H hidden states behind a layer, averaged over each sample's label tokens, h^ref those of the starting
    model, and u a random unit vector that stays the same (arXiv 2403.03218). Distances have no unit.
    """

    source = "arXiv 2403.03218"
    rate: ClassVar[float] = 0.512
    epochs: ClassVar[int] = 8

    steering_coeff: float = option(20.0, "c, length of the vector that forget samples are steered to", gt=0)

    def target(self, step: Step, layer: int) -> Tensor:
        del layer
        return self.steering_coeff * step.state["direction"]


def _distance(batch: Batch, states: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of the states of each sample's label tokens, [B]."""
    import torch

    at = batch.labels != -100
    difference = (states - target).to(torch.promote_types(states.dtype, torch.float32))
    return (difference.square().mean(-1) * at).sum(-1) / at.sum(-1)
