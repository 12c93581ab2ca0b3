"""One (micro-)step as an algorithm sees it: batches by the names of their sets, and what two models say of them.

All sets that an algorithm reads go through the model together, padded to the longest text among them, and each forward
pass is remembered. The starting model is the same module with the starting values of the trained parameters put in
their place for a pass, so it costs what is trained and not what is frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from unlearnkit.contracts import Batch, LabelLogits, LabelScores, Step, View
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import hidden_states, label_logits, scores_of

if TYPE_CHECKING:
    from torch import Tensor, nn


class Passes(View):
    """A model's forward passes over the batches of a step, each made once.

    `together` are the batches that share the pass that logits are read from; another batch has one of its own.
    """

    def __init__(self, model: nn.Module, together: Sequence[Batch]) -> None:
        self._model = model
        self._together = together
        self._logits: dict[int, LabelLogits] = {}
        self._scores: dict[int, LabelScores] = {}
        self._hidden: dict[tuple[int, int], Tensor] = {}

    def scores(self, batch: Batch) -> LabelScores:
        if id(batch) not in self._scores:
            self._scores[id(batch)] = scores_of(self.logits(batch), batch)
        return self._scores[id(batch)]

    def logits(self, batch: Batch) -> LabelLogits:
        if id(batch) not in self._logits:
            batches = self._company(batch)
            found = label_logits(self._model, joined(batches))
            for one, part in zip(batches, parted(found, batches), strict=True):
                self._logits[id(one)] = part
        return self._logits[id(batch)]

    def hidden(self, batch: Batch, layer: int) -> Tensor:
        if (id(batch), layer) not in self._hidden:
            batches = self._company(batch)
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


class StartingPasses(Passes):
    """The same of the model as training found it: `start` are the trained parameters' values then, by name, or another
    module.

    A method that reads the starting model reads it on some sets only, so each batch has a pass of its own.
    """

    def __init__(self, model: nn.Module, start: Mapping[str, Tensor] | nn.Module) -> None:
        model, self._values = (start, {}) if isinstance(start, torch.nn.Module) else (model, start)
        super().__init__(model, ())

    def logits(self, batch: Batch) -> LabelLogits:
        with self._at_rest():
            return super().logits(batch)

    def hidden(self, batch: Batch, layer: int) -> Tensor:
        with self._at_rest():
            return super().hidden(batch, layer)

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
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

    def __init__(self, model: nn.Module, start: Mapping[str, Tensor], scale: float) -> None:
        super().__init__(model, ())
        self._values = {n: start[n] - (p - start[n]) / scale for n, p in model.named_parameters() if n in start}

    def logits(self, batch: Batch) -> LabelLogits:
        with holding(self._model, self._values):
            return super().logits(batch)

    def hidden(self, batch: Batch, layer: int) -> Tensor:
        with holding(self._model, self._values):
            return super().hidden(batch, layer)


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

    def __post_init__(self) -> None:
        self.forget = self.batches["forget"]
        self.retain = self.batches.get("retain")
        self._passes = Passes(self.model, [self.batches[name] for name in self.together])
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
            self._reference = StartingPasses(self.model, self._started())
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
        return MirroredPasses(self.model, start, scale)

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


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches as one, padded to the widest."""
    if len(batches) == 1:
        return batches[0]
    width = max(batch.ids.shape[1] for batch in batches)

    def stacked(name: str, value: int) -> Tensor:
        tensors = [getattr(batch, name) for batch in batches]
        return torch.cat([F.pad(tensor, (0, width - tensor.shape[1]), value=value) for tensor in tensors])

    rows = tuple(row for batch in batches for row in batch.rows)
    return Batch(stacked("ids", 0), stacked("mask", 0), stacked("labels", -100), rows)


def parted(logits: LabelLogits, batches: Sequence[Batch]) -> Iterator[LabelLogits]:
    """What was found for `joined(batches)`, for each of them."""
    token = sample = 0
    for batch in batches:
        n = int((batch.labels[:, 1:] != -100).sum())
        own = slice(token, token + n)
        yield LabelLogits(logits.values[own], logits.targets[own], logits.sample[own] - sample, len(batch))
        token, sample = token + n, sample + len(batch)


def mean_nll(batch: Batch, scores: LabelScores) -> list[tuple[int, float]]:
    """(row, mean NLL in nats per label token) of a batch's samples."""
    mean = scores.nll.detach().double() / scores.tokens
    return list(zip(batch.rows, mean.tolist(), strict=True))
