"""Which forget samples come when: a sampler asked for each epoch or each step, with what is then known.

Scores are measured when the epoch comes that they are for, and read when it comes again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.checks import checked_order
from unlearnkit.contracts import Adapter, Pool, Sampler, Scorer, ScoreRequest
from unlearnkit.data.samples import DataSpec
from unlearnkit.models import live_fingerprint
from unlearnkit.plugins import options_of
from unlearnkit.runs import score as scores
from unlearnkit.runs.adapters import measurable
from unlearnkit.runs.identity import digest
from unlearnkit.runs.inputs import request
from unlearnkit.seeds import derive
from unlearnkit.settings import BATCH_SIZE
from unlearnkit.store import records
from unlearnkit.training.plan import TrainingPlan, by_epoch

if TYPE_CHECKING:
    from torch import nn

    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.training.probes import Probes


@dataclass
class Orders:
    """A run's sampler at work. `threshold` is [n], nats per label token."""

    place: Workplace
    run: records.Run
    sampler: Sampler
    name: str
    inputs: Inputs
    model: Callable[[], nn.Module]
    """The model as it is, whole."""
    plan: TrainingPlan
    probes: Probes
    threshold: np.ndarray
    adapter: Adapter | None = None
    _scored: dict[str, np.ndarray] = field(default_factory=dict)

    def rows(self) -> Callable[[int], Sequence[int]]:
        """The rows of a step, as the training loop asks for them."""
        return self.of_step if self.sampler.every == "step" else by_epoch(self.plan, self.of_epoch)

    def of_step(self, step: int) -> Sequence[int]:
        """What a sampler that draws for every step draws for this one. The store keeps its first of each epoch; the
        others stand in the NLLs of the batches."""
        return self._draw(step, self.plan.size(step), step)

    def of_epoch(self, epoch: int) -> Sequence[int]:
        """An epoch's order."""
        return self._draw(epoch * self.plan.steps_per_epoch, self.plan.n, epoch)

    def _draw(self, step: int, size: int, number: int) -> Sequence[int]:
        """The order that is drawn before a step; `number` counts the draws of the run."""
        epoch = self.plan.epoch(step)
        needs = self.sampler.needs
        stored = self.place.store.order(self.run.id, epoch)
        scored_by = self._score_run(epoch, needs) if stored is None else stored.scores
        pool = Pool(
            n=self.plan.n,
            size=size,
            epoch=epoch,
            epochs=self.plan.epochs,
            scores=None if scored_by is None else self._values(scored_by),
            nll=self.probes.known(step),
            threshold=self.threshold,
            tokens=self._tokens(needs),
        )
        rng = np.random.default_rng(derive(self.plan.seed, "order", number))
        order = checked_order(self.name, self.sampler.order(pool, rng), pool, may_end=self.sampler.every == "step")
        if stored is None and len(order):  # one that is empty may be drawn again
            row = records.OrderRow(epoch, scored_by, digest(order.tolist()))
            self.place.store.put_order(self.run.id, row)
        return order.tolist()  # type: ignore[no-any-return]

    def _tokens(self, needs: ScoreRequest | None) -> np.ndarray:
        """Tokens that a score of each sample sums over, [n]."""
        items = self.inputs.encoded["forget"]
        if needs is not None and self._scorer(needs).tokens == "all":
            items = [item.labelled_whole() for item in items]
        return np.array([item.tokens for item in items])

    def _scorer(self, needs: ScoreRequest) -> Scorer:
        return self.place.plugins.build("scorer", needs.scorer, needs.options)  # type: ignore[no-any-return]

    def _score_run(self, epoch: int, needs: ScoreRequest | None) -> str | None:
        """The run whose scores weigh an epoch that has not begun yet."""
        if needs is None:
            return None
        measured = epoch - epoch % needs.refresh if needs.refresh else 0
        if measured < epoch:
            earlier = self.place.store.order(self.run.id, measured)
            assert earlier is not None, "an epoch's order is stored before its first step"
            return earlier.scores
        return self._measure(needs, epoch)

    def _measure(self, needs: ScoreRequest, epoch: int) -> str:
        """Score the forget set under the weights as they are; the run that holds the scores."""
        model = self.model()
        with measurable(model, self.adapter):
            # Scorers work in float32; rounded weights are another model than the one that was named.
            return self._scores(copy.deepcopy(model).float() if self._rounded else model, needs, epoch)

    @property
    def _rounded(self) -> bool:
        return self.plan.precision == "bf16"

    def _scores(self, model: nn.Module, needs: ScoreRequest, epoch: int) -> str:
        place = self.place
        scorer = self._scorer(needs)
        started = epoch == 0 and not self._rounded
        weights = self.inputs.model.fingerprint if started else live_fingerprint(model, self.inputs.tokenizer)
        task = task_of(self.inputs, needs, scorer, weights, lambda: model)
        asked: dict[str, Any] = {}
        if started:
            here = self.run.config["request"]
            asked = request(
                place, model=here["model"], data=DataSpec(**here["forget"]), scorer=needs.scorer,
                options=options_of(scorer), seed=0, batch_size=BATCH_SIZE,
                template=here["template"], system_prompt=here.get("system_prompt"),
            )  # fmt: skip
        with place.stop.holding(False):  # what is scored is stored: no need to wait for the end
            found = scores.run_task(place, task, asked, parent=self.run.id)
        what = "this model and these data" if started else f"the weights at epoch {epoch + 1}"
        if found.computed:
            place.progress.say(f"{needs.scorer} scores of {what} were not in the store: computed (run {found.run})")
        else:
            place.progress.say(f"{needs.scorer} scores of {what} come from the store (run {found.run})")
        return found.run

    def _values(self, run: str) -> np.ndarray:
        """Scores in the forget set's order, NaN where undefined."""
        if run not in self._scored:
            stored = self.place.store.scores(run)
            rows = [stored[sample.id].value for sample in self.inputs.sets["forget"].samples]
            self._scored[run] = np.array([np.nan if value is None else value for value in rows])
        return self._scored[run]


def task_of(
    inputs: Inputs, needs: ScoreRequest, scorer: Scorer, weights: str, load: Callable[[], nn.Module]
) -> scores.ScoreTask:
    """The scores that a sampler needs of the forget set, under some weights."""
    return scores.ScoreTask(
        weights=weights,
        load=load,
        inputs=inputs.unique("forget", *scorer.sets),
        role="forget",
        scorer_name=needs.scorer,
        scorer=scorer,
        seed=0,  # a measurement of the model, not part of the run's chance
    )
