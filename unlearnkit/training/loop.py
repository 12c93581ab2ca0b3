"""The training loop: per-sample losses in, optimiser steps out, bit for bit repeatable.

Each step seeds all generators from (seed, step), so a resumed run needs weights, optimiser tensors and a step number
and nothing else. The loop knows no method and no store: it yields a row per step and fills `probes`, and whoever
drives it writes rows and checkpoints.
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
from unlearnkit.data.collate import plan as by_length
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import label_scores
from unlearnkit.seeds import reseed
from unlearnkit.training.plan import TrainingPlan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unlearnkit.data.encode import Encoded
    from unlearnkit.training.probes import Probes

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

    def found(self, batch: Batch) -> list[tuple[int, float]]:
        """(row, mean NLL) of a batch's samples, where the algorithm has asked for their scores."""
        return _mean_nll(batch, self._scores[id(batch)]) if id(batch) in self._scores else []

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

    `draw(step)` gives the rows of a step, counted from 0, and may look at the model as it then is. None end training,
    where the draw stays empty after a look at every sample as it now is.
    `anchors` maps a set's name to the summed NLL of its samples under the starting weights, [N] float32. `probes` takes
    the NLLs of the forget samples that steps see and, with `probe_every`, of all of them every so many updates and at
    the start and the end.
    """

    model: nn.Module
    algorithm: Algorithm
    name: str
    plan: TrainingPlan
    forget: Sequence[Encoded]
    retain: Sequence[Encoded] | None
    draw: Callable[[int], Sequence[int]]
    pad: int
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    probes: Probes | None = None
    probe_every: int | None = None
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
        self.model.train()
        self._probe(ends=self.done == self.plan.steps)
        while self.done < self.plan.steps:
            rows = self.draw(self.done)
            if not len(rows) and self._probe(ends=True):  # it was drawn by what may be an epoch old
                rows = self.draw(self.done)
            if not len(rows):
                return
            terms = self._step(rows)
            self._probe(ends=self.done == self.plan.steps)
            yield terms

    def _step(self, rows: Sequence[int]) -> dict[str, float]:
        step = self.done
        reseed(self.plan.seed, "step", step)
        terms, nll = self._backward(self._batches(step, rows))
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._clip))
        lr = self.plan.learning_rate(step)
        self._check_finite(terms, norm, step, lr)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self.probes is not None:
            self.probes.trained(step, nll)
        self.done += 1
        return {**terms, "grad_norm": norm, "lr": lr, "epoch": float(self.plan.epoch(step))}

    @property
    def _clip(self) -> float:
        return self.plan.max_grad_norm or math.inf

    def _batches(self, step: int, rows: Sequence[int]) -> list[tuple[Batch, Batch | None]]:
        device = next(self.model.parameters()).device
        pairs = []
        for micro, some in enumerate(self.plan.micro_batches(rows)):
            retain = None
            if self.retain is not None:
                companions = self.plan.companions(step, micro, len(some), len(self.retain))
                retain = collate(self.retain, companions, pad=self.pad, device=device)
            pairs.append((collate(self.forget, some, pad=self.pad, device=device), retain))
        return pairs

    def _backward(
        self, batches: Sequence[tuple[Batch, Batch | None]]
    ) -> tuple[dict[str, float], list[tuple[int, float]]]:
        """Gradients of the whole step; the step's terms as numbers, and (row, mean NLL) of its forget samples.
        Denominators are those of the step, so that accumulating small batches equals one large batch."""
        sizes = {
            "forget": _sizes([forget for forget, _ in batches]),
            "retain": _sizes([retain for _, retain in batches if retain is not None]),
        }
        totals: dict[str, float] = {}
        nll: list[tuple[int, float]] = []
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
            nll += step.found(forget)
            self._accelerator.backward(loss)
        return totals, nll

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

    # --------------------------------------------------------------------------------------------------- probes

    def _probe(self, *, ends: bool) -> bool:
        """Sweep the forget set where that is due and has not been done; whether it was swept."""
        if self.probes is None or self.probe_every is None or self.probes.swept == self.done:
            return False
        if due := ends or self.done % self.probe_every == 0:
            self.probes.sweep(self.done, self._sweep(self.probes.rows))
        return due

    def _sweep(self, rows: Sequence[int]) -> list[tuple[int, float]]:
        """(row, mean NLL) of forget samples under the weights as they are; nothing random is drawn."""
        items, device = [self.forget[row] for row in rows], next(self.model.parameters()).device
        found: list[tuple[int, float]] = []
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for batch in by_length(items, self.plan.batch_size):
                chosen = collate(self.forget, [rows[i] for i in batch], pad=self.pad, device=device)
                found += _mean_nll(chosen, label_scores(self.model, chosen))
        self.model.train(was_training)
        return found

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


def _mean_nll(batch: Batch, scores: LabelScores) -> list[tuple[int, float]]:
    """(row, mean NLL in nats per label token) of a batch's samples."""
    mean = scores.nll.detach().double() / scores.tokens
    return list(zip(batch.rows, mean.tolist(), strict=True))


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """Names, types and shapes of a model's tensors in a state."""
    return {name: (t.dtype, t.shape) for name, t in state.items() if not name.startswith("optimizer.")}


def _sizes(batches: Sequence[Batch]) -> dict[str, int]:
    """What a term is divided by: samples and label tokens of the step."""
    return {
        "sample": sum(len(b) for b in batches),
        "token": sum(int((b.labels[:, 1:] != -100).sum()) for b in batches),
    }
