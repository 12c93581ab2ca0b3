"""What a plugin is: a dataclass with one method, whose fields are its options.

This module says what each kind of plugin receives and returns, and imports nothing heavy, so that listing and
describing plugins stays instant. Tensors are named in annotations only.

Two rules run through all kinds. Losses, metrics and scores are *per sample*: reduction happens in one place, so that
weighting, ordering and storing by sample work for every method. And what cannot be computed is `Undefined` with a
reason, never a number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn

API_VERSION = "1.0"

Direction = Literal["higher", "lower", "none"]


# ------------------------------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Sample:
    """One thing that may be known, forgotten or asked.

    `id` is a hash of `prompt` and `answer`, so the same pair is the same sample in any file. Plain text has an empty
    prompt. `paraphrases` and `wrong` are other right and wrong answers to the same prompt, and `questions` are other
    wordings of it, where the data have them. `lead` is how the model's turn begins where that is given to it with the
    prompt; `answer` is then what goes on from there.
    """

    id: str
    position: int
    prompt: str
    answer: str
    paraphrases: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    lead: str = ""

    def others(self, needs: Collection[str]) -> tuple[str, ...]:
        """The other answers that some needs of metrics mean."""
        return (self.paraphrases if "paraphrases" in needs else ()) + (self.wrong if "wrong" in needs else ())


@dataclass(frozen=True)
class Batch:
    """Encoded samples, padded on the right. All tensors are [B, T] of int64.

    `mask` is 1 on real tokens and comes from lengths, never from the pad id. `labels` holds the token id where a
    label stands (the answer and its end token) and -100 elsewhere, aligned with `ids` and *not* shifted.
    `rows` are the samples' indices in their data set.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class LabelScores:
    """What a forward pass says of the label tokens. Tensors are [B, K], K ≤ T - 1; columns without a label are False.

    `logprobs`: log p(x_t | x_<t) in nats, 0 where there is no label; `correct`: the label is the most likely token.
    """

    logprobs: Tensor
    mask: Tensor
    correct: Tensor

    @property
    def nll(self) -> Tensor:
        """Summed negative log-likelihood of each sample, [B], nats."""
        return -self.logprobs.sum(-1)

    @property
    def tokens(self) -> Tensor:
        """Label tokens of each sample, [B]."""
        return self.mask.sum(-1)


# ------------------------------------------------------------------------------------------------------- algorithms


@dataclass(frozen=True)
class LabelLogits:
    """What a forward pass says at a batch's n label tokens, sample by sample.

    `values`: [n, V] logits from which the label tokens are predicted, float32 where the model's are less precise;
    `targets`: [n] the labels; `sample`: [n] which of the batch's `size` samples each belongs to, ascending.
    """

    values: Tensor
    targets: Tensor
    sample: Tensor
    size: int

    def sums(self, tokens: Tensor) -> Tensor:
        """Per-token values [n] summed over each sample's label tokens, [B]."""
        return tokens.new_zeros(self.size).index_add(0, self.sample, tokens)


@dataclass(frozen=True)
class Term:
    """One term of a loss, per sample.

    `values` is [B] in nats, with a gradient. `per="sample"` averages over the samples of a step; `per="token"` takes
    `values` to be sums over each sample's label tokens and divides their total by the step's label tokens (what a
    language model's own loss does). `weight` multiplies the term. `over` names the set whose label tokens are counted
    where it is not the term's own, such as "forget:refusal", and `skip` how many of each sample's first are not.
    """

    values: Tensor
    per: Literal["sample", "token"] = "sample"
    weight: float = 1.0
    over: str | None = None
    skip: int = 0


class View(ABC):
    """What one model says of a step's batches."""

    @abstractmethod
    def scores(self, batch: Batch) -> LabelScores:
        """Log-probabilities of the batch's labels; one forward pass for any number of calls."""

    @abstractmethod
    def logits(self, batch: Batch) -> LabelLogits:
        """Whole distributions where labels are predicted, from the same forward pass."""

    @abstractmethod
    def hidden(self, batch: Batch, layer: int) -> Tensor:
        """Hidden states [B, T, H] behind the first `layer` decoder blocks (0: the embeddings). Blocks above them do not
        run."""


class Step(View):
    """What an algorithm may look at in one (micro-)step. What it says itself is the current model's, with a gradient.

    Besides the forget and the retain set there are other answers to their prompts, row by row: "forget:refusal" has a
    sentence that declines, "forget:generated" another answer that the starting model gave, "forget:mismatched" the
    answer of some retain sample; and so for "retain:refusal".
    """

    model: nn.Module
    forget: Batch
    retain: Batch | None
    progress: float
    """How far training is, 0 … 1."""
    state: Mapping[str, Tensor]
    """What the algorithm's `begin` returned and its `stepped` changed since."""

    @abstractmethod
    def batch(self, name: str) -> Batch:
        """The step's batch of a set that the algorithm names in `reads`."""

    @abstractmethod
    def reference_nll(self, batch: Batch) -> Tensor:
        """Summed NLL of each sample under the starting weights, [B], nats: the stored anchor, no second model.

        Only for batches of a set that the algorithm names in `anchors`."""

    @property
    @abstractmethod
    def reference(self) -> View:
        """The model as training found it, without a gradient; only where `reads_reference`."""

    @abstractmethod
    def mirrored(self, scale: float) -> View:
        """The model on the other side of its starting weights θ₀, at θ₀ - (θ - θ₀) / scale, with a gradient by the
        weights θ that are trained; only where `reads_reference`."""


class Algorithm(ABC):
    """An unlearning method: a loss, per sample. Subclass as a dataclass; fields are the options."""

    anchors: tuple[str, ...] = ()
    """Sets whose samples need their log-probability under the starting weights. May be a property."""

    source: ClassVar[str] = ""
    """The paper, as an arXiv number or a citation."""

    recommended_sampler: ClassVar[str] = "uniform"
    """The sampler that did best with it in a published comparison; shown, never chosen for the user."""

    rate: ClassVar[float] = 0.02
    """Learning rate times the model's width (hidden size), where no rate is given. With Adam the rate that suits falls
    as the width grows (arXiv 2203.03466), so one number serves models of different sizes."""

    whole_only: ClassVar[bool] = False
    """Whether it cannot train a model in pieces, nor one whose activations are computed again."""

    epochs: ClassVar[int] = 5
    """Passes over the forget set, where no length is given."""

    @property
    def uses_retain(self) -> bool:
        """Whether a step reads retain samples; where not, none are fetched or encoded."""
        return True

    @property
    def reads(self) -> tuple[str, ...]:
        """Sets that the model runs on in a step; they share one forward pass."""
        return ("forget", "retain") if self.uses_retain else ("forget",)

    @property
    def reads_reference(self) -> bool:
        """Whether a step reads whole distributions or hidden states of the starting model, for which a copy of the
        trained weights is kept. A log-probability of a sample needs none: it is an anchor."""
        return False

    def trains(self, parameter: str, model: nn.Module) -> bool:
        """Whether a parameter, by its name in the model, is trained; others get no gradient."""
        del parameter, model
        return True

    def begin(self, model: nn.Module, seed: int) -> dict[str, Tensor]:
        """Tensors to keep from step to step, before the first; they are part of a checkpoint. All randomness comes from
        `seed`."""
        del model, seed
        return {}

    def stepped(self, state: Mapping[str, Tensor], terms: Mapping[str, float]) -> None:
        """Change `state` in place after a step was applied. `terms` are the step's, without their weights."""
        del state, terms

    @abstractmethod
    def losses(self, step: Step) -> Mapping[str, Term | Tensor]:
        """The loss as terms named "forget" and "retain", each [B] over that set's batch. A bare tensor is `Term(t)`."""


# ---------------------------------------------------------------------------------------------------------- wrappers

Gradient = Sequence["Tensor"]
"""One tensor for each trained parameter, in one order."""


class Gradients(ABC):
    """One step's gradients, as a wrapper may ask for them."""

    parameters: Gradient
    """The trained parameters themselves. They are not to be written to."""
    step: int
    """Optimiser steps taken before this one."""
    seed: int
    """For what is random in this step."""
    state: dict[str, Gradient]
    """What the wrapper keeps from step to step; part of a checkpoint."""

    @abstractmethod
    def terms(self, *names: str) -> dict[str, Gradient]:
        """Gradients of the loss's weighted terms ("forget", "retain") at the weights as they are, over all of the
        step's samples; of the named ones, or of all. What is random in the model, such as dropout, is the same each
        time."""

    @abstractmethod
    def beside(self, offset: Gradient) -> AbstractContextManager[None]:
        """Weights moved by `offset`; afterwards they are bit for bit as before."""

    @abstractmethod
    def signs(self) -> Gradient:
        """A random sign, 1 or -1, for every weight, from the step's seed; the same on any number of processes."""

    @abstractmethod
    def dot(self, one: Gradient, other: Gradient) -> float:
        """Inner product over all parameters, in float64."""


class Wrapper(ABC):
    """Makes the gradient that the optimiser sees out of an algorithm's, whichever that is. Subclass as a dataclass."""

    source: ClassVar[str] = ""
    terms: ClassVar[tuple[str, ...]] = ()
    """Terms that the algorithm must have."""
    optimizer: ClassVar[str | None] = None
    """The optimiser that it is made for, where any other would spoil it. What it returns is then an update already,
    whose norm is not clipped."""

    @abstractmethod
    def gradient(self, gradients: Gradients) -> Gradient:
        """The gradient to descend."""


# ----------------------------------------------------------------------------------------------------------- scorers


@dataclass(frozen=True, order=True)
class Unit:
    """The smallest piece of scoring that is stored whole: one draw with one sign over one shard of the samples.

    `draw` -1 with `sign` 0 is the unperturbed model.
    """

    draw: int
    sign: int
    shard: int


Draws = Mapping[tuple[int, int], "np.ndarray"]
"""What has been measured, {(draw, sign): [N, columns]}; a draw is there when all of its shards are."""


@dataclass(frozen=True)
class Score:
    """A sample's reduced score. `value` and `stderr` are None where undefined; `status` then says why."""

    value: float | None
    stderr: float | None = None
    n: int = 1
    status: str = "ok"
    clamped: int = 0
    """Label tokens whose log-probability was clamped, where the measure divides by it."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Other figures of the same measurement by name, such as MRD's curvature."""


@dataclass(frozen=True)
class Settled:
    """What stands in for options that a scorer was asked to choose by itself, and what it saw when it chose: JSON."""

    options: Mapping[str, Any]
    found: Mapping[str, Any] = field(default_factory=dict)


class Bench(ABC):
    """What a scorer works on: a model in float32 and evaluation mode, and the samples in a fixed batch plan.

    `samples` are those that the rows of the batches count. `sets` holds the other sets that the scorer named in its
    `sets`, as texts, and `batches` the same encoded. A scorer that perturbs the weights writes into them in place,
    under `torch.no_grad` and not through `.data`: by torch's own count of such writes the bench knows what to forget.
    """

    model: nn.Module
    shards: Sequence[Sequence[Batch]]
    seed: int
    samples: Sequence[Sample]
    sets: Mapping[str, Sequence[Sample]]
    batches: Mapping[str, Sequence[Batch]]

    @abstractmethod
    def scores(self, batch: Batch) -> LabelScores:
        """Log-probabilities under the weights as they are now, float64, without a gradient."""

    @abstractmethod
    def base(self, batch: Batch) -> LabelScores:
        """The same under the unperturbed weights, from memory after the first call."""

    @abstractmethod
    def over(self, model: nn.Module) -> Bench:
        """The same bench over another model."""


class Scorer(ABC):
    """A difficulty measure: rows per sample and draw, measured with the model; a score, reduced without it."""

    unit: ClassVar[str] = ""
    source: ClassVar[str] = ""
    high_means: ClassVar[str] = "unknown"
    """What a high value is claimed to say of forgetting: "easy", "hard" or "unknown"."""
    reduced_by: ClassVar[tuple[str, ...]] = ()
    """Options that change which draws are used or how they are reduced, but no draw. Runs that differ in these alone
    share their draws in the store."""
    tokens: str = "answer"
    """Which tokens count: "answer" or "all" (the prompt's too). A scorer may make it an option."""
    remedy: ClassVar[str] = ""
    """What would make the order clearer where most of it is noise, in options."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that decide a value besides the scorer's own code; their versions are part of its key."""
    reads_model: ClassVar[bool] = True
    """Whether values depend on the weights. Where not, no model is loaded (`bench.model` must not be touched)."""
    reads_tokens: ClassVar[bool] = False
    """Whether values depend on the batches where they do not on the weights. Where on neither, they hold for every
    model."""
    sets: ClassVar[tuple[str, ...]] = ()
    """Other sets that samples are compared with: "retain", "corpus"."""

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Options that `settle` has to choose before anything is measured."""
        return ()

    def settle(self, bench: Bench) -> Settled:
        """Choose the unsettled options for this model and these samples. Weights are as before when it returns."""
        del bench
        return Settled({})

    @abstractmethod
    def units(self, shards: int, draws: Draws) -> Sequence[Unit]:
        """All pieces of work, in the order in which they are best done.

        `draws` is what has been measured so far. A scorer that goes on until its result is good enough asks for more
        as long as it is not; it is asked again when it has what it asked for. What it names at last is what it is
        reduced from, so the answer depends on `draws` alone."""

    @abstractmethod
    def measure(self, bench: Bench, todo: Sequence[Unit]) -> Iterator[tuple[Unit, np.ndarray]]:
        """Yield each unit of `todo` with its values, float64 [samples of the shard, columns], as soon as it is known.

        Whatever happens to the weights in between, they are bit for bit as before when the iterator is exhausted or
        closed."""

    @abstractmethod
    def reduce(self, draws: Draws) -> list[Score]:
        """One score a sample, from the draws that `units` named."""

    def agreement(self, draws: Draws) -> float | None:
        """The scores' reliability: how well their ranking would agree with one from fresh draws, -1 … 1; None for a
        measure without noise."""
        del draws
        return None


# ---------------------------------------------------------------------------------------------------------- samplers


@dataclass(frozen=True)
class ScoreRequest:
    """Scores that a sampler needs: a scorer's name and options, refreshed from the current weights every `refresh`
    epochs (0: only the scores of the starting weights are used)."""

    scorer: str
    options: Mapping[str, object] = field(default_factory=dict)
    refresh: int = 0


@dataclass(frozen=True)
class Pool:
    """What a sampler may look at when it draws. Arrays run over the forget set, [n].

    `size` is how many indices are wanted: n for an epoch, a step's samples for a sampler that draws for every step.
    `scores` has NaN where a sample has none, and is None where the sampler needs none. `nll` is the newest known mean
    NLL of each sample (nats per label token), NaN where nothing is known yet; from `threshold` on a sample counts as
    forgotten. `tokens` is how many tokens the score of each sample sums over, its label tokens where there is none.
    """

    n: int
    size: int
    epoch: int
    epochs: int
    scores: np.ndarray | None
    nll: np.ndarray
    threshold: np.ndarray
    tokens: np.ndarray


class Sampler(ABC):
    """Which forget samples a step sees. The order is a function of (pool, rng) and nothing else."""

    source: ClassVar[str] = ""
    every: ClassVar[Literal["epoch", "step"]] = "epoch"
    """When an order is drawn. A sampler that draws for every step sees what each step did."""

    @property
    def needs(self) -> ScoreRequest | None:
        return None

    @abstractmethod
    def order(self, pool: Pool, rng: np.random.Generator) -> np.ndarray:
        """Indices of the samples to see, int64 [pool.size], each in 0 … n-1, repeats allowed. A sampler that draws for
        every step may return none: training then ends."""


# ----------------------------------------------------------------------------------------------------------- metrics


@dataclass(frozen=True)
class Undefined:
    """A value that does not exist, and why: a stable word ("no_wrong_answers") that the report spells out."""

    reason: str


@dataclass(frozen=True)
class TokenScores:
    """One text under the model: float64 log-probabilities in nats and correctness of its label tokens, both [n].

    Where "vocabulary" is asked for, also what log p(v) is over the whole vocabulary, v drawn from p itself: `entropy`,
    its mean times -1, and `spread`, its standard deviation; both [n], float64, nats.
    """

    logprobs: np.ndarray
    correct: np.ndarray
    entropy: np.ndarray | None = None
    spread: np.ndarray | None = None

    @property
    def mean_nll(self) -> float:
        """Mean negative log-likelihood, nats per token."""
        return -float(self.logprobs.mean())


Need = Literal["answer", "paraphrases", "wrong", "generation", "vocabulary", "prefixed", "gradient"]


@dataclass(frozen=True)
class Probe:
    """All that one pass found out about some samples of a split. Lists run over the samples. What no metric of the
    pass declared in `needs` is None.

    `answer`, `paraphrases`, `wrong`: texts read behind the sample's prompt; with "vocabulary", `answer` says what the
    whole distributions were. `prefixed`: the answer once more, with other samples, which the model never trained on,
    before the prompt; None where they leave no room, or there are none. `generation`: what the model says to the prompt
    by itself. `gradient`: norm of the gradient of the answer's mean NLL by the weights.
    """

    samples: Sequence[Sample]
    answer: Sequence[TokenScores] | None = None
    paraphrases: Sequence[Sequence[TokenScores]] | None = None
    wrong: Sequence[Sequence[TokenScores]] | None = None
    generation: Sequence[str] | None = None
    prefixed: Sequence[TokenScores | None] | None = None
    gradient: Sequence[float] | None = None


def to_be_forgotten(split: str) -> bool:
    """Whether a split of a suite is of what is to be forgotten, by its name: "forget", "forget_verbatim"."""
    return split.startswith("forget")


class Metric(ABC):
    """One value per sample from a probe. Subclass as a dataclass; fields are the options."""

    needs: ClassVar[tuple[Need, ...]] = ("answer",)
    direction: ClassVar[Direction] = "none"
    """Which way is better on the forget set after unlearning."""
    unit: ClassVar[str] = ""
    source: ClassVar[str] = ""
    by_heart: ClassVar[float | None] = None
    """The value of a sample that is known word for word, where all such samples have one."""

    def better(self, split: str) -> Direction:
        """Which way a split's figure is better after unlearning: what is to be kept is the other way round, unless the
        metric's figures say otherwise."""
        opposite: dict[Direction, Direction] = {"higher": "lower", "lower": "higher", "none": "none"}
        return self.direction if to_be_forgotten(split) else opposite[self.direction]

    @property
    def values_better(self) -> Direction:
        """Which way the values themselves go, away from what a model says of texts that it was trained on: unlike
        `better` of what is stored, not of a figure. "none": they do not tell those from others."""
        return self.direction

    @property
    def reads(self) -> tuple[str, ...]:
        """What decides a value besides the metric's code and options, such as a hash of files that an option names."""
        return ()

    @abstractmethod
    def measure(self, probe: Probe) -> Sequence[float | Undefined]:
        """One value a sample, in the probe's order."""

    def summarise(self, values: np.ndarray, split: str) -> np.ndarray:
        """The per-sample terms whose mean is this metric's figure for a split, [n] from [n]."""
        del split
        return values


@dataclass(frozen=True)
class Column:
    """A metric's stored values on one split: float64 [n], samples without a value left out; `terms` are the
    per-sample terms whose mean is the split's figure (`Metric.summarise`), `samples` the ids, ascending; `better` is
    which way values go, away from those of texts that the model was trained on (`Metric.values_better`)."""

    values: np.ndarray
    terms: np.ndarray
    samples: tuple[str, ...] = ()
    better: Direction = "none"

    @property
    def mean(self) -> float:
        return float(self.terms.mean())


Columns = Mapping[tuple[str, str], Column]
"""{(split, metric): column}; what was not measured, or has no defined value, is absent."""

Interval = tuple[float, float]
"""Lower and upper bound."""


class Aggregate(ABC):
    """One number for a run, from stored columns, without the model."""

    needs_reference: ClassVar[bool] = False
    direction: ClassVar[Direction] = "higher"
    source: ClassVar[str] = ""

    @abstractmethod
    def combine(self, columns: Columns, reference: Columns | None) -> float | Undefined:
        """The number. `reference` holds the columns of a model that never saw the forget set, where one was named."""

    def interval(self, columns: Columns, reference: Columns | None) -> Interval | None:
        """Bounds of the number's 95 % interval, where there are better ones than resampling samples gives.

        Called where the number is defined, with the columns that it was made of."""
        del columns, reference
        return None


# ----------------------------------------------------------------------------------------------------------- attacks


Choice = Callable[["Tensor", Sequence[int]], "Tensor"]
"""The next tokens [B] by logits [B, V] in float32; also given which of the prompts the rows belong to."""


@dataclass(frozen=True)
class Condition:
    """One way in which the forget samples are asked again. What is None or empty is as before the attack.

    `samples`: the samples as they are asked, under their ids; those that it does not suit may be left out.
    `template`: how they are put to the model, a word of `Target.templates`. `choose`: how each next token is picked,
    given the samples that are asked together. `reads`: where it only changes what some needs find, those; metrics
    without any of them are not measured.
    """

    name: str
    samples: Sequence[Sample] | None = None
    template: str | None = None
    choose: Callable[[Sequence[Sample]], Choice] | None = None
    reads: tuple[Need, ...] = ()


class Target(ABC):
    """What an attack works on: a model in evaluation mode, the forget samples, and other sets by name ("retain",
    "related"), where the user has them."""

    samples: Sequence[Sample]
    sets: Mapping[str, Sequence[Sample]]
    templates: Sequence[str]
    """Ways to put samples to this model, in the words of `--template`, besides the one in use."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The model, loaded when it is first asked for."""

    @abstractmethod
    def restored(self) -> AbstractContextManager[None]:
        """A block in which weights may be written to in place; afterwards they are bit for bit as before."""

    @abstractmethod
    def trained(
        self, samples: Sequence[Sample], *, steps: int, lr: float | None, batch_size: int, seed: int
    ) -> Generator[int, None, None]:
        """Fine-tune the model on samples, by AdamW at a constant rate (None: `Algorithm.rate` for its width), and yield
        the number of steps after each, the model then in evaluation mode. Weights are bit for bit as before when the
        iterator is exhausted or closed."""


class Attack(ABC):
    """Ways to make a model say again what it was to forget. Subclass as a dataclass; fields are the options.

    What a sample is under the attack is the worst that any condition finds of it: for whom one way is enough, the
    others do not matter.
    """

    source: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ("probability", "rouge")
    """What is measured where nothing is said, by the metrics' names."""
    sets: ClassVar[tuple[str, ...]] = ()
    """Sets besides the forget set that it can use: "retain", "related"."""
    attempts: ClassVar[bool] = False
    """Whether conditions are attempts of one kind, so that what counts after some of them is the worst of these."""

    reads: ClassVar[tuple[Need, ...]] = ()
    """Where all conditions only change what some needs find, those: other metrics see nothing of the attack."""

    def shown(self, samples: Sequence[Sample], sets: Mapping[str, Sequence[Sample]]) -> Sequence[Sample]:
        """The forget samples that the attack itself teaches the model. They are reported apart from the others, which
        alone say what comes back."""
        del samples, sets
        return ()

    @abstractmethod
    def conditions(self, target: Target) -> Iterator[Condition]:
        """Yield conditions, under names of their own. While one is held, `target.model` is as the attack made it. All
        randomness comes from the options, so that the same conditions come again."""


# ---------------------------------------------------------------------------------------------------------- adapters


class Adapter(ABC):
    """Trains a small addition to the weights instead of the weights (LoRA and its like). Subclass as a dataclass;
    fields are the options.

    The addition is put into the model itself, which stays the object and of the class that it was: whatever looks at
    its configuration, its decoder blocks or its forward pass finds them where they were.
    """

    source: ClassVar[str] = ""
    rate: ClassVar[float] = 1.0
    """Times the method's own learning rate, where no rate is given."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions that decide a result besides the adapter's own code; their versions belong to a run's identity."""
    merge: bool = True
    """Whether a run writes a plain model, with the addition folded in, or the addition alone. An adapter may make it an
    option."""

    @abstractmethod
    def wrap(self, model: nn.Module, trained: Collection[str], seed: int) -> None:
        """Put the addition into the model, with it alone trainable and the model's outputs as before.

        `trained` names the parameters that the algorithm would train; to others nothing is added. All randomness comes
        from `seed`. Before anything is loaded it is called with a model without memory (device "meta") too, where
        options that do not fit are found.

        :raises BadInput: code "option", where the options do not fit the model or the algorithm.
        """

    @abstractmethod
    def folded(self, model: nn.Module) -> AbstractContextManager[None]:
        """A plain model, with the addition folded into its weights, for as long as the block lasts; afterwards it is
        bit for bit as before."""

    def keep(self, model: nn.Module, folder: Path, *, base: Path, fingerprint: str) -> None:
        """Write the addition alone, and which model it belongs to: the folder of that and its fingerprint. What reads
        it back is the hook `load_model` of the same plugin. Only asked of an adapter whose `merge` may be false."""
        raise NotImplementedError(f"{type(self).__name__} keeps no addition")


KINDS: dict[str, type] = {
    "algorithm": Algorithm,
    "wrapper": Wrapper,
    "scorer": Scorer,
    "sampler": Sampler,
    "metric": Metric,
    "aggregate": Aggregate,
    "adapter": Adapter,
    "attack": Attack,
}
"""Every kind of plugin and the class that it extends."""
