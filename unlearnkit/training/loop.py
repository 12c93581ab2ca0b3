"""The training loop: per-sample losses in, optimiser steps out, bit for bit repeatable.

Each step seeds all generators from (seed, step), so a resumed run needs weights, optimiser tensors and a step number
and nothing else. The loop knows no method and no store: it yields a row per step, and whoever drives it writes rows
and checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unlearnkit.checks import checked_terms
from unlearnkit.contracts import Algorithm, Batch, LabelScores, Step, Term
from unlearnkit.data.collate import collate
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import label_scores
from unlearnkit.seeds import reseed
from unlearnkit.training.plan import TrainingPlan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unlearnkit.data.encode import Encoded

OPTIMIZER_STATE = ("exp_avg", "exp_avg_sq", "step")


class Diverged(UnlearnkitError):  # noqa: N818
    """A loss or a gradient is not finite. The step was not applied."""

    default_code = "diverged"


@dataclass
class TrainingStep(Step):
    """One micro-batch, with its forward passes remembered."""

    model: nn.Module
    forget: Batch
    retain: Batch | None
    progress: float
    anchors: Mapping[str, Tensor]
    _scores: dict[int, LabelScores] = field(default_factory=dict)

    def scores(self, batch: Batch) -> LabelScores:
        if id(batch) not in self._scores:
            self._scores[id(batch)] = label_scores(self.model, batch)
        return self._scores[id(batch)]

    def reference_nll(self, batch: Batch) -> Tensor:
        role = "forget" if batch is self.forget else "retain"
        if role not in self.anchors:
            raise UnlearnkitError(
                f"the algorithm reads the {role} set's reference but does not name it in `anchors`",
                code="plugin-contract",
            )
        return self.anchors[role][list(batch.rows)].to(batch.ids.device)


@dataclass
class Trainer:
    """Trains `model` in place.

    `orders(epoch)` gives the rows of an epoch and may look at the model as it then is. `anchors` maps a set's name to
    the summed NLL of its samples under the starting weights, [N] float32.
    """

    model: nn.Module
    algorithm: Algorithm
    name: str
    plan: TrainingPlan
    forget: Sequence[Encoded]
    retain: Sequence[Encoded] | None
    orders: Callable[[int], Sequence[int]]
    pad: int
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    done: int = 0
    """Optimiser steps taken."""

    def __post_init__(self) -> None:
        from accelerate import Accelerator

        self._accelerator = Accelerator(cpu=next(self.model.parameters()).device.type == "cpu")
        self._parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=self.plan.lr, weight_decay=self.plan.weight_decay
        )

    # ---------------------------------------------------------------------------------------------------- steps

    def steps(self) -> Iterator[dict[str, float]]:
        """Take the remaining steps, yielding each one's terms after it has been applied.

        Raises:
            Diverged: a term or the gradient is not finite; weights and optimiser are as before the step.
            UnlearnkitError: code `plugin-contract` or `plugin-error`, where the algorithm is at fault.
        """
        epoch, order = -1, []
        self.model.train()
        while self.done < self.plan.steps:
            if self.plan.epoch(self.done) != epoch:
                epoch = self.plan.epoch(self.done)
                order = list(self.orders(epoch))
            yield self._step(order)

    def _step(self, order: Sequence[int]) -> dict[str, float]:
        step = self.done
        reseed(self.plan.seed, "step", step)
        batches = self._batches(step, order)
        terms = self._backward(batches)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._clip))
        lr = self.plan.learning_rate(step)
        self._check_finite(terms, norm, step, lr)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.done += 1
        return {**terms, "grad_norm": norm, "lr": lr, "epoch": float(self.plan.epoch(step))}

    @property
    def _clip(self) -> float:
        return self.plan.max_grad_norm or math.inf

    def _batches(self, step: int, order: Sequence[int]) -> list[tuple[Batch, Batch | None]]:
        device = next(self.model.parameters()).device
        pairs = []
        for micro, rows in enumerate(self.plan.micro_batches(step, order)):
            retain = None
            if self.retain is not None:
                companions = self.plan.companions(step, micro, len(rows), len(self.retain))
                retain = collate(self.retain, companions, pad=self.pad, device=device)
            pairs.append((collate(self.forget, rows, pad=self.pad, device=device), retain))
        return pairs

    def _backward(self, batches: Sequence[tuple[Batch, Batch | None]]) -> dict[str, float]:
        """Gradients of the whole step; the step's terms as numbers. Denominators are those of the step, so that
        accumulating small batches equals one large batch."""
        sizes = {
            "forget": _sizes([forget for forget, _ in batches]),
            "retain": _sizes([retain for _, retain in batches if retain is not None]),
        }
        totals: dict[str, float] = {}
        for forget, retain in batches:
            step = TrainingStep(self.model, forget, retain, self.done / self.plan.steps, self.anchors)
            loss: Tensor | None = None
            for role, term in self._terms(step).items():
                part = term.values.sum() / sizes[role][term.per]
                totals[role] = totals.get(role, 0.0) + float(part.detach())
                weighted = term.weight * part
                totals["loss"] = totals.get("loss", 0.0) + float(weighted.detach())
                loss = weighted if loss is None else loss + weighted
            assert loss is not None
            self._accelerator.backward(loss)
        return totals

    def _terms(self, step: TrainingStep) -> dict[str, Term]:
        try:
            return checked_terms(self.name, self.algorithm.losses(step), step)
        except UnlearnkitError:
            raise
        except (Exception, SystemExit) as error:
            raise UnlearnkitError(
                f"algorithm {self.name} failed at step {self.done + 1}: {type(error).__name__}: {error}",
                hint="--debug shows where; the run can be resumed",
                code="plugin-error",
            ) from error

    def _check_finite(self, terms: Mapping[str, float], norm: float, step: int, lr: float) -> None:
        if all(math.isfinite(value) for value in (*terms.values(), norm)):
            return
        self._optimizer.zero_grad(set_to_none=True)
        raise Diverged(
            f"step {step + 1} diverged: loss {terms['loss']:g}, gradient norm {norm:g}, lr {lr:g}; "
            "the step was not applied",
            hint="a smaller --lr, or a retain term; the last checkpoint is kept",
        )

    # ---------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and optimiser tensors, tied ones once."""
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= {f"buffer.{name}": b for name, b in self.model.named_buffers()}
        for name, parameter in self._parameters.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Go on from `state()` as it was after `step` steps.

        Raises:
            UnlearnkitError: code `checkpoint`, where names or shapes are not this model's.
        """
        if _shapes(tensors) != _shapes(self.state()):
            raise UnlearnkitError("the checkpoint belongs to another model", code="checkpoint")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
            for name, buffer in self.model.named_buffers():
                buffer.copy_(tensors[f"buffer.{name}"])
        for name, parameter in self._parameters.items():
            state: dict[str, Any] = {
                # AdamW keeps its step count on the CPU, and the rest where the parameter is.
                key: tensors[f"optimizer.{key}.{name}"].to("cpu" if key == "step" else parameter.device, copy=True)
                for key in OPTIMIZER_STATE
                if f"optimizer.{key}.{name}" in tensors
            }
            if state:
                self._optimizer.state[parameter] = state
        self.done = step


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """Names, types and shapes of a model's tensors in a state."""
    return {name: (t.dtype, t.shape) for name, t in state.items() if not name.startswith("optimizer.")}


def _sizes(batches: Sequence[Batch]) -> dict[str, int]:
    """What a term is divided by: samples and label tokens of the step."""
    return {
        "sample": sum(len(b) for b in batches),
        "token": sum(int((b.labels[:, 1:] != -100).sum()) for b in batches),
    }
