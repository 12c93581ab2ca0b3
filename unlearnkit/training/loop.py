"""The training loop: per-sample losses in, optimiser steps out, bit for bit repeatable.

Each step seeds all generators from (seed, step), so a resumed run needs the trained weights, the tensors of optimiser
and method, and a step number, and nothing else. The loop knows no method and no store: it yields a row per step and
fills `probes`, and whoever drives it writes rows and checkpoints.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unlearnkit.checks import checked_gradient, checked_terms, contained
from unlearnkit.contracts import Adapter, Algorithm, Gradient, Term, Wrapper
from unlearnkit.data.collate import collate
from unlearnkit.data.collate import plan as by_length
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import label_scores
from unlearnkit.seeds import derive, reseed
from unlearnkit.training.fused import Fused, Look, liger, plainly, tried
from unlearnkit.training.gradients import StepGradients
from unlearnkit.training.optimizers import Optimizer
from unlearnkit.training.plan import TrainingPlan
from unlearnkit.training.precision import arithmetic, hold
from unlearnkit.training.step import TrainingStep, mean_nll
from unlearnkit.training.team import Team, like, piece, together, whole
from unlearnkit.training.trained import mark_trained
from unlearnkit.training.words import LOOKED_AT, fusing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unlearnkit.data.encode import Encoded
    from unlearnkit.training.probes import Probes

EXPLODED = 10.0
"""Times its start that a retain term may reach."""
HARMLESS = 1.0
"""Nats per token that a retain term may reach whatever its start was: what knows its data by heart starts near zero."""


class Diverged(UnlearnkitError):  # noqa: N818
    """A loss or a gradient is not finite, or the retain loss has exploded. The step was not applied."""

    default_code = "diverged"


@dataclass
class Trainer:
    """Trains `model` in place.

    `sets` has what the algorithm reads by name, and always "forget", the set that is trained on; other answers to a
    set's prompts ("forget:refusal") have its rows.
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
    sets: Mapping[str, Sequence[Encoded]]
    draw: Callable[[int], Sequence[int]]
    pad: int
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    wrapper: Wrapper | None = None
    wrapper_name: str = ""
    adapter: Adapter | None = None
    probes: Probes | None = None
    probe_every: int | None = None
    team: Team = field(default_factory=Team)
    fused: bool = True
    """Whether a fused cross-entropy may be used, where one is installed and runs on the model's device."""
    done: int = 0
    """Optimiser steps taken."""
    moved: bool | None = None
    """Whether the first `LOOKED_AT` steps changed any weight; None until that is known."""

    def __post_init__(self) -> None:
        hold(self.model, self.plan.precision)
        if self.plan.recompute:
            model: Any = self.model
            newest = getattr(model, "activation_checkpointing_enable", None)  # transformers' newer name for it
            (newest or model.gradient_checkpointing_enable)({"use_reentrant": False})
        mark_trained(self.model, self.algorithm, self.name, self.adapter, derive(self.plan.seed, "adapter"))
        self._start = self._starting() if self.algorithm.reads_reference else None
        self._skeleton = copy.deepcopy(self.model).to("meta") if self.team.sharded else None
        self.model = self.team.shard(self.model)
        self.offered = None if self.team.sharded else fusing(self.fused, cuda=self._device.type == "cuda")
        self.look = self._looking()
        self._parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._optimizer = Optimizer(
            self.plan.optimizer, self._parameters, lr=self.plan.lr, weight_decay=self.plan.weight_decay
        )
        with self._blamed(f"algorithm {self.name}"):
            self._state = self.algorithm.begin(self.model, derive(self.plan.seed, "algorithm"))
        self._kept: dict[str, Gradient] = {}
        self._first_retain: float | None = None
        self._sums = _bit_sums(self._parameters.values())

    def _starting(self) -> Mapping[str, Tensor] | nn.Module:
        """The model as it is now, to be read later: a copy, where it is in pieces that cannot be swapped."""
        if self.team.sharded:
            return self.team.shard(copy.deepcopy(self.model).requires_grad_(False))
        return {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def fuses(self) -> bool:
        """Whether log-probabilities come from a fused cross-entropy."""
        return isinstance(self.look, Fused)

    def _looking(self) -> Look:
        """How passes are read: by a fused cross-entropy, where it says of two short texts what the model says."""
        if self.offered is None:
            return plainly
        texts = self.sets["forget"]
        short = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))[:2]
        with self._arithmetic():
            return tried(self.model, liger(), collate(texts, short, pad=self.pad, device=self._device)) or plainly

    # ---------------------------------------------------------------------------------------------------- steps

    def steps(self) -> Iterator[dict[str, float]]:
        """Take the remaining steps, yielding each one's terms after it has been applied.

        Raises:
            Diverged: a term or the gradient is not finite, or the retain term is ten times what it was at first;
                weights and optimiser are as before the step.
            UnlearnkitError: code `plugin-contract` or `plugin-error`, where the algorithm or wrapper is at fault.
        """
        self.model.train()
        self.probe(ends=self.done == self.plan.steps)
        while self.done < self.plan.steps:
            rows = self.draw(self.done)
            if not len(rows) and self.probe(ends=True):  # it was drawn by what may be an epoch old
                rows = self.draw(self.done)
            if not len(rows):
                return
            self.team.tell(("step", list(rows)))
            terms = self._step(rows)
            self.probe(ends=self.done == self.plan.steps)
            yield terms

    def follow(self) -> Any:
        """Do as the process that leads, until it gives an order that is not about this training: that order."""
        self.model.train()
        while True:
            order, *about = said = self.team.hear()
            if order == "step":
                with suppress(Diverged):  # the one that leads says so
                    self._step(*about)
            elif order == "sweep":
                self._swept(*about)
            elif order == "state":
                self._state_of_all()
            elif order == "weights":
                self._weights()
            elif order == "load":
                self._load(self.team.spread(None), *about)
            else:
                return said

    def _step(self, rows: Sequence[int]) -> dict[str, float]:
        step, lr = self.done, self.plan.learning_rate(self.done)
        found = self._gradients(step, rows)
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._limit)))
        self._check(found, norm, lr)
        self._optimizer.step(lr)
        with self._blamed(f"algorithm {self.name}"):
            self.algorithm.stepped(self._state, found.totals)
        self._kept = found.state
        if self.probes is not None:
            self.probes.trained(step, found.nll)
        self.done += 1
        if self.done == LOOKED_AT:
            self.moved = self._sums != _bit_sums(self._parameters.values())
        return {**found.totals, "grad_norm": norm, "lr": lr, "epoch": float(self.plan.epoch(step))}

    @property
    def _limit(self) -> float:
        """Norm that a gradient is clipped to; never what a wrapper with an optimiser of its own has made."""
        own = self.wrapper is not None and self.wrapper.optimizer is not None
        return math.inf if own else self.plan.max_grad_norm or math.inf

    def _gradients(self, step: int, rows: Sequence[int]) -> StepGradients:
        """The step's gradient, left in the parameters, and what was found on the way."""
        work = self.step_gradients(step, rows)
        if self.wrapper is None:
            work.whole()
        else:
            with self._blamed(f"wrapper {self.wrapper_name}"):
                work.use(checked_gradient(self.wrapper_name, self.wrapper.gradient(work), work.parameters))
            if dotted := [key for key in work.state if "." in key]:
                raise UnlearnkitError(
                    f'wrapper {self.wrapper_name} keeps a state "{dotted[0]}"',
                    hint="its name may have no dot",
                    code="plugin-contract",
                )
        return work

    def step_gradients(self, step: int, rows: Sequence[int]) -> StepGradients:
        """What a step over these rows of the forget set may be asked for; nothing has been computed yet."""
        micro = self._micro_batches(step, rows)
        tokens = {name: [self.sets[name][row].tokens for of in micro for row in of[name]] for name in micro[0]}

        def divisor(name: str, term: Term) -> int:
            counted = tokens[term.over or name]
            if term.per == "sample":
                return len(counted)
            return max(1, sum(max(0, n - term.skip) for n in counted))

        def sweep(together: bool) -> Iterator[tuple[TrainingStep, float]]:
            reseed(self.plan.seed, "step", step)  # all sweeps of a step draw the same, so that they may be compared
            return (self._at(rows_of, together) for rows_of in micro)

        return StepGradients(
            parameters=list(self._parameters.values()),
            step=step,
            seed=derive(self.plan.seed, "wrapper", step),
            state=dict(self._kept),
            micro=sweep,
            losses=self._losses,
            divisor=divisor,
            team=self.team,
        )

    def _micro_batches(self, step: int, rows: Sequence[int]) -> list[dict[str, Sequence[int]]]:
        """Rows by set of each micro-batch, the step's shortest texts first, so that little is padded."""
        chosen = {"forget": self._by_length("forget", rows)}
        if self.algorithm.uses_retain:
            companions = self.plan.companions(step, len(rows), len(self.sets["retain"]))
            chosen["retain"] = self._by_length("retain", companions)
        pieces = {role: self.plan.micro_batches(some) for role, some in chosen.items()}
        names = ["forget", *(name for name in self.algorithm.reads if name != "forget")]
        return [{name: pieces[name.partition(":")[0]][i] for name in names} for i in range(len(pieces["forget"]))]

    def _by_length(self, role: str, rows: Sequence[int]) -> list[int]:
        return sorted(rows, key=lambda row: (len(self.sets[role][row]), row))

    def _at(self, rows: Mapping[str, Sequence[int]], together: bool) -> tuple[TrainingStep, float]:
        """This process's part of a micro-batch. One that gets no sample takes another's, with weight 0: all processes
        make the same number of passes."""
        own = {name: self.team.share(some) or some[:1] for name, some in rows.items()}
        batches = {
            name: collate(self.sets[name], some, pad=self.pad, device=self._device) for name, some in own.items()
        }
        step = TrainingStep(
            model=self.model,
            batches=batches,
            together=self.algorithm.reads if together else (),
            progress=self.done / self.plan.steps,
            anchors=self.anchors,
            state=self._state,
            start=self._start,
            in_pieces=self.team.sharded,
            look=self.look,
        )
        return step, 1.0 if self.team.share(rows["forget"]) else 0.0

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _losses(self, step: TrainingStep) -> dict[str, Term]:
        with self._blamed(f"algorithm {self.name}"), self._arithmetic():
            return checked_terms(self.name, self.algorithm.losses(step), step)

    def _blamed(self, whom: str) -> AbstractContextManager[None]:
        return blamed(f"{whom} failed at step {self.done + 1}")

    def _arithmetic(self) -> AbstractContextManager[None]:
        return arithmetic(self.model, self.plan.precision)

    def _check(self, found: StepGradients, norm: float, lr: float) -> None:
        """Whether the step may be applied."""
        fault, hint, terms = "", "a smaller --lr, or more weight on a retain term", found.totals
        if not all(math.isfinite(value) for value in (*terms.values(), norm)):
            fault = f"loss {terms['loss']:g}, gradient norm {norm:g}"
        elif "retain" in found.per_token:  # nats per token; what other terms count has no harmless height
            if self._first_retain is None:
                self._first_retain = terms["retain"]
            if terms["retain"] > max(EXPLODED * self._first_retain, HARMLESS):
                began = f"{EXPLODED:g} times the {self._first_retain:.4g} that it began at"
                fault = f"retain loss {terms['retain']:.4g}, more than {began} and than {HARMLESS:g} nat per token"
                hint += "; --keep 'retain.nll<=3x' and a small --probe-every end with the last model that keeps it"
        if fault:
            self._optimizer.forget()
            raise Diverged(
                f"step {self.done + 1} diverged: {fault}, lr {lr:g}; the step was not applied",
                hint=hint,
            )

    # --------------------------------------------------------------------------------------------------- probes

    def probe(self, *, ends: bool) -> bool:
        """Sweep the forget set where that is due, as it is at an end, and has not been done; whether it was swept."""
        if self.probes is None or self.probe_every is None or self.probes.swept == self.done:
            return False
        if due := ends or self.done % self.probe_every == 0:
            self.probes.sweep(self.done, self.sweep("forget", self.probes.rows))
        return due

    def sweep(self, name: str, rows: Sequence[int]) -> list[tuple[int, float]]:
        """(row, mean NLL in nats per label token) of a set's samples under the weights as they are; nothing random is
        drawn."""
        self.team.tell(("sweep", name, list(rows)))
        return self._swept(name, rows)

    def _swept(self, name: str, rows: Sequence[int]) -> list[tuple[int, float]]:
        of = self.sets[name]
        batches = by_length([of[row] for row in rows], self.plan.batch_size)
        found: list[tuple[int, float]] = []
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self._arithmetic(), together():
            for turn in range(0, len(batches), self.team.size):
                own = self.team.share(batches[turn : turn + self.team.size])
                for batch in own or batches[turn : turn + 1]:  # all processes make the same number of passes
                    chosen = collate(of, [rows[i] for i in batch], pad=self.pad, device=self._device)
                    scores = label_scores(self.model, chosen)
                    found += mean_nll(chosen, scores) if own else []
        self.model.train(was_training)
        return self.team.merge({}, found)[1]

    def plain(self) -> nn.Module:
        """The model whole in this process, to be read; where it is in pieces, a copy."""
        if self._skeleton is None:
            return self.model
        self.team.tell(("weights",))
        weights = self._weights()
        plain: Any = copy.deepcopy(self._skeleton).to_empty(device=self._device)
        plain.tie_weights()  # what is tied came apart where it has no memory
        with torch.no_grad():
            for name, parameter in plain.named_parameters():
                parameter.copy_(weights[name])
            for (_, buffer), (_, own) in zip(plain.named_buffers(), self.model.named_buffers(), strict=True):
                buffer.copy_(own)
        return plain.eval()  # type: ignore[no-any-return]

    def _weights(self) -> dict[str, Tensor]:
        with together():
            return {name: whole(p.detach()) for name, p in self.model.named_parameters()}

    # ---------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Tensor]:
        """Trained weights, buffers, and the tensors of optimiser, algorithm and wrapper, tied ones once. What is not
        trained stands in the model that the run began with."""
        self.team.tell(("state",))
        return self._state_of_all()

    def _state_of_all(self) -> dict[str, Tensor]:
        with together():
            return {name: whole(tensor) for name, tensor in self._tensors().items()}

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{name}": p.detach() for name, p in self._parameters.items()}
        tensors |= {f"buffer.{name}": b for name, b in self.model.named_buffers()}
        tensors |= {f"optimizer.{key}": value for key, value in self._optimizer.state().items()}
        tensors |= {f"algorithm.{key}": value for key, value in self._state.items()}
        for key, gradient in self._kept.items():
            tensors |= {f"wrapper.{key}.{name}": value for name, value in zip(self._parameters, gradient, strict=True)}
        if self._first_retain is not None:
            tensors["loop.first_retain"] = torch.tensor(self._first_retain, dtype=torch.float64)
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Go on from `state()` as it was after `step` steps.

        Raises:
            UnlearnkitError: code `checkpoint`, where names or shapes are not this model's.
        """
        if _shapes(tensors) != _shapes(self._tensors()):
            raise UnlearnkitError("the checkpoint belongs to another model", code="checkpoint")
        self.team.tell(("load", step))
        self._load(self.team.spread(tensors), step)

    def _load(self, tensors: Mapping[str, Tensor], step: int) -> None:
        own = {kind: _under(tensors, kind) for kind in ("model", "buffer", "optimizer", "algorithm", "wrapper")}
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(like(own["model"][name], parameter))
            for name, buffer in self.model.named_buffers():
                buffer.copy_(own["buffer"][name])
            for name, kept in self._state.items():
                kept.copy_(own["algorithm"][name])
        self._optimizer.load(own["optimizer"])
        keys = dict.fromkeys(name.partition(".")[0] for name in own["wrapper"])
        self._kept = {
            key: [like(own["wrapper"][f"{key}.{name}"], p) for name, p in self._parameters.items()] for key in keys
        }
        if (first := tensors.get("loop.first_retain")) is not None:
            self._first_retain = float(first)
        self.done = step


def _bit_sums(parameters: Iterable[Tensor]) -> list[int]:
    """A checksum of each tensor's bits."""
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return [int(piece(p.detach()).view(integers[p.element_size()]).sum(dtype=torch.int64)) for p in parameters]


def _under(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a kind, without it."""
    return {name.removeprefix(f"{kind}."): t for name, t in tensors.items() if name.startswith(f"{kind}.")}


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
    """Names, types and shapes of a model's and an algorithm's tensors in a state; the others come with the first
    step."""
    return {
        name: (t.dtype, t.shape) for name, t in state.items() if name.startswith(("model.", "buffer.", "algorithm."))
    }


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """An exception of somebody else's code as one line that names it."""
    try:
        with together(), contained():
            yield
    except UnlearnkitError:
        raise
    except (Exception, SystemExit) as error:
        raise UnlearnkitError(
            f"{what}: {type(error).__name__}: {error}",
            hint="--debug shows where; the run can be resumed",
            code="plugin-error",
        ) from error
