"""What an attack works on: a model that is put back as it was, and the kit's own trainer to teach it with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearnkit.contracts import Sample, Target

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from unlearnkit.data.encode import Encoded


@dataclass
class ModelTarget(Target):
    """A model behind `load`, which gives the same at every call.

    Args:
        encode: samples as token ids, as the run puts them to the model.
        rate: learning rate where an attack gives none.
    """

    load: Callable[[], PreTrainedModel]
    samples: Sequence[Sample]
    sets: Mapping[str, Sequence[Sample]]
    templates: Sequence[str]
    encode: Callable[[Sequence[Sample]], list[Encoded]]
    pad: int
    rate: float

    @property
    def model(self) -> PreTrainedModel:
        return self.load()

    @contextmanager
    def restored(self) -> Iterator[None]:
        import torch

        model = self.model
        kept = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, before in kept:
                    tensor.copy_(before)
                    tensor.grad = None
            model.eval()

    def trained(
        self, samples: Sequence[Sample], *, steps: int, lr: float | None, batch_size: int, seed: int
    ) -> Generator[int, None, None]:
        from unlearnkit.training.finetune import FineTuning
        from unlearnkit.training.loop import Trainer
        from unlearnkit.training.plan import TrainingPlan, by_epoch, shuffled

        encoded = self.encode(samples)
        plan = TrainingPlan(
            n=len(encoded), epochs=steps, max_steps=steps, batch_size=batch_size, grad_accum=1,
            lr=self.rate if lr is None else lr, schedule="constant", warmup=0.0, weight_decay=0.0, max_grad_norm=1.0,
            seed=seed,
        )  # fmt: skip
        model = self.model
        with self.restored():
            trainer = Trainer(
                model=model, algorithm=FineTuning(), name="finetune", plan=plan, sets={"forget": encoded},
                draw=by_epoch(plan, shuffled(plan)), pad=self.pad,
            )  # fmt: skip
            for _ in trainer.steps():
                model.eval()
                yield trainer.done
                model.train()
