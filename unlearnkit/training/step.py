"""One (micro-)step as an algorithm sees it: batches by the names of their sets, and what two models say of them.

All sets that an algorithm reads go through the model together, padded to the longest text among them, and each forward
pass is remembered. The starting model is the same module with the starting values of the trained parameters put in
their place for a pass, so it costs what is trained and not what is frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from unlearnkit.contracts import Batch, LabelLogits, LabelScores, Step, View
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import hidden_states, placed
from unlearnkit.training.fused import Look, plainly
from unlearnkit.training.joint import arranged, joined

if TYPE_CHECKING:
    from torch import Tensor, nn


class Passes(View):
    """A model's forward passes over the batches of a step, each made once.

    `together` are the batches that share the pass that logits are read from; another batch has one of its own. `look`
    is how label tokens are read from a pass.
    """

    def __init__(self, model: nn.Module, together: Sequence[Batch], *, cuts: bool = True, look: Look = plainly) -> None:
        self._model = model
        self._together = together
        self._cuts = cuts
        self._look = look
        self._passes: dict[int, _Pass] = {}
        self._scores: dict[int, LabelScores] = {}
        self._hidden: dict[tuple[int, int], Tensor] = {}

    def scores(self, batch: Batch) -> LabelScores:
        if id(batch) not in self._scores:
            with self._running():
                self._scores[id(batch)] = self._pass(batch).scores(batch)
        return self._scores[id(batch)]

    def logits(self, batch: Batch) -> LabelLogits:
        with self._running():
            return self._pass(batch).logits(batch)

    def _pass(self, batch: Batch) -> _Pass:
        if id(batch) not in self._passes:
            batches = self._company(batch)
            made = _Pass(self._model, batches, cuts=self._cuts, look=self._look)
            self._passes |= {id(one): made for one in batches}
        return self._passes[id(batch)]

    def _running(self) -> AbstractContextManager[None]:
        """How the model is while it runs, or its head alone."""
        return nullcontext()

    def hidden(self, batch: Batch, layer: int) -> Tensor:
        if (id(batch), layer) not in self._hidden:
            batches = self._company(batch)
            with self._running():
                found = hidden_states(self._model, joined(batches), layer)
            start = 0
            for one in batches:
                self._hidden[id(one), layer] = found[start : start + len(one), : one.ids.shape[1]]
                start += len(one)
        return self._hidden[id(batch), layer]

    def seen(self, batch: Batch) -> LabelScores | None:
        """The scores of a batch where they have been asked for."""
        return self._scores.get(id(batch))

    def _company(self, batch: Batch) -> Sequence[Batch]:
        return self._together if any(batch is one for one in self._together) else [batch]


class _Pass:
    """What a model says of some batches at once."""

    def __init__(self, model: nn.Module, batches: Sequence[Batch], *, cuts: bool, look: Look) -> None:
        self._batches = batches
        self._joint = arranged(batches, cuts=cuts)
        self._found = [look(model, piece) for piece in self._joint.pieces]

    @cached_property
    def _values(self) -> Tensor:
        return self._found[0].logits() if len(self._found) == 1 else torch.cat([one.logits() for one in self._found])

    @cached_property
    def _logprobs(self) -> Tensor:
        return torch.cat([one.logprobs() for one in self._found])

    def scores(self, batch: Batch) -> LabelScores:
        return placed(self._logprobs[self._joint.orders[self._index(batch)]], batch)

    def logits(self, batch: Batch) -> LabelLogits:
        index = self._index(batch)
        span = self._joint.spans[index]
        own = self._values[self._joint.orders[index]] if span is None else self._values[slice(*span)]
        labelled = batch.labels[:, 1:] != -100
        return LabelLogits(own, batch.labels[:, 1:][labelled], labelled.nonzero()[:, 0], len(batch))

    def _index(self, batch: Batch) -> int:
        return next(i for i, one in enumerate(self._batches) if one is batch)


class StartingPasses(Passes):
    """The same of the model as training found it: `start` are the trained parameters' values then, by name, or another
    module.

    A method that reads the starting model reads it on some sets only, so each batch has a pass of its own.
    """

    def __init__(self, model: nn.Module, start: Mapping[str, Tensor] | nn.Module, *, look: Look = plainly) -> None:
        self._values: Mapping[str, Tensor] = {}
        if isinstance(start, torch.nn.Module):
            super().__init__(start, (), cuts=False, look=look)
        else:
            super().__init__(model, (), look=look)
            self._values = start

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Without gradients and without dropout: what the starting model says is no matter of chance."""
        training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad(), holding(self._model, self._values):
                yield
        finally:
            self._model.train(training)


class MirroredPasses(Passes):
    """The same of the model mirrored in the values that training found: `start`, by name."""

    def __init__(self, model: nn.Module, start: Mapping[str, Tensor], scale: float, *, look: Look = plainly) -> None:
        super().__init__(model, (), look=look)
        self._values = {n: start[n] - (p - start[n]) / scale for n, p in model.named_parameters() if n in start}

    def _running(self) -> AbstractContextManager[None]:
        return holding(self._model, self._values)


@dataclass
class TrainingStep(Step):
    """One micro-batch. `batches` are those of the sets that the algorithm reads, and always "forget"; `together` names
    those that share a forward pass; `anchors` maps a set's name to the summed NLL of its samples under the starting
    weights, [N]; `start` has the trained parameters as they were, or the model, where the algorithm reads it."""

    model: nn.Module
    batches: Mapping[str, Batch]
    together: Sequence[str]
    progress: float
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)
    start: Mapping[str, Tensor] | nn.Module | None = None
    in_pieces: bool = False
    """Whether the model is in pieces, of which every process has to make the same passes."""
    look: Look = plainly
    """How label tokens are read from a pass."""

    def __post_init__(self) -> None:
        self.forget = self.batches["forget"]
        self.retain = self.batches.get("retain")
        together = [self.batches[name] for name in self.together]
        self._passes = Passes(self.model, together, cuts=not self.in_pieces, look=self.look)
        self._reference: StartingPasses | None = None

    def batch(self, name: str) -> Batch:
        if name not in self.batches:
            raise UnlearnkitError(
                f'the algorithm asks for a batch of "{name}" but does not name it in `reads`', code="plugin-contract"
            )
        return self.batches[name]

    def scores(self, batch: Batch) -> LabelScores:
        return self._passes.scores(batch)

    def logits(self, batch: Batch) -> LabelLogits:
        return self._passes.logits(batch)

    def hidden(self, batch: Batch, layer: int) -> Tensor:
        return self._passes.hidden(batch, layer)

    @property
    def reference(self) -> View:
        if self._reference is None:
            self._reference = StartingPasses(self.model, self._started(), look=self.look)
        return self._reference

    def mirrored(self, scale: float) -> View:
        start = self._started()
        if isinstance(start, torch.nn.Module):
            raise UnlearnkitError("a model in pieces cannot be mirrored", hint="--parallel ddp", code="usage")
        if any(getattr(module, "gradient_checkpointing", False) for module in self.model.modules()):
            raise UnlearnkitError(
                "a mirrored model's activations cannot be computed again",
                hint="without --gradient-checkpointing",
                code="usage",
            )
        return MirroredPasses(self.model, start, scale, look=self.look)

    def _started(self) -> Mapping[str, Tensor] | nn.Module:
        """What is kept of the starting model."""
        if self.start is None:
            raise UnlearnkitError(
                "the algorithm reads the starting model but `reads_reference` is False", code="plugin-contract"
            )
        return self.start

    def reference_nll(self, batch: Batch) -> Tensor:
        name = next(name for name, one in self.batches.items() if one is batch)
        if name not in self.anchors:
            raise UnlearnkitError(
                f"the algorithm reads the {name} set's reference but does not name it in `anchors`",
                code="plugin-contract",
            )
        return self.anchors[name][list(batch.rows)].to(batch.ids.device)

    def found(self) -> list[tuple[int, float]]:
        """(row, mean NLL) of the forget samples, where the algorithm has asked for their scores."""
        scores = self._passes.seen(self.forget)
        return [] if scores is None else mean_nll(self.forget, scores)


@contextmanager
def holding(model: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with other tensors in the place of some parameters, wherever those stand. The parameters themselves are
    not written to, so graphs that go through them stay whole."""
    other = {id(p): values[name] for name, p in model.named_parameters() if name in values}
    places = [(m._parameters, key) for m in model.modules() for key, p in m._parameters.items() if id(p) in other]
    before = [parameters[key] for parameters, key in places]
    try:
        for (parameters, key), parameter in zip(places, before, strict=True):
            parameters[key] = other[id(parameter)]  # type: ignore[assignment]
        yield
    finally:
        for (parameters, key), parameter in zip(places, before, strict=True):
            parameters[key] = parameter


def mean_nll(batch: Batch, scores: LabelScores) -> list[tuple[int, float]]:
    """(row, mean NLL in nats per label token) of a batch's samples."""
    mean = scores.nll.detach().double() / scores.tokens
    return list(zip(batch.rows, mean.tolist(), strict=True))
