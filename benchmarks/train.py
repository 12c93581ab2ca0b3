"""What a step of unlearning costs: its parts, its memory, tokens per second, and each method against GradDiff.

    python benchmarks/train.py [--model MODEL] [--forget DATA] [--retain DATA] [--methods ga graddiff npo …] [--steps 6]

Without a model it takes the GGUF file of `python -m unlearnkit.models.gguf fetch`. All methods take turns in one
process, on the same samples: read the ratios. Memory is each method's own, in a process of its own. With one thread,
times are processor seconds, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from machine import Clock, clock_for, heading, status, verdict
from torch.nn.functional import cross_entropy

from unlearnkit.contracts import Batch, LabelScores
from unlearnkit.data.collate import collate
from unlearnkit.data.samples import DataSpec
from unlearnkit.losses import label_scores, placed
from unlearnkit.models import load_model
from unlearnkit.models.gguf import fetched
from unlearnkit.runs.inputs import Inputs, find_model, prepare, read_set
from unlearnkit.runs.others import chosen, other_answers
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings
from unlearnkit.training import step
from unlearnkit.training.joint import joined
from unlearnkit.training.loop import Trainer
from unlearnkit.training.optimizers import Optimizer
from unlearnkit.training.plan import TrainingPlan

HERE = Path(__file__).resolve().parent
LOCAL = ("ga", "graddiff", "npo")
AT_MOST = {"npo": 1.03, "ga": 0.55}
"""Times GradDiff's step."""
OUTSIDE, CHEAPER = 0.08, 0.15


def main() -> None:
    args = arguments()
    tofu = Path(os.environ.get("UNLEARNKIT_TOFU_DIR") or HERE.parents[1] / "shared" / "tofu")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-bench-") as folder:
        settings = Settings(store=str(Path(folder) / "bench.db"), tofu_dir=tofu, threads=args.threads)
        with Workplace(settings) as place:
            place.environment()  # sets the threads
            bench = Bench(place, args)
            if args.memory:
                bench.remember(args.memory)
            else:
                bench.compare()


class Bench:
    """A model and samples that all methods share."""

    def __init__(self, place: Workplace, args: argparse.Namespace) -> None:
        if args.model is None and fetched() is None:
            raise SystemExit("no model: give --model, or python -m unlearnkit.models.gguf fetch")
        self.place, self.args = place, args
        self.source = find_model(place, args.model or f"gguf:{fetched()}")
        specs = {"forget": DataSpec(args.forget), "retain": DataSpec(args.retain)}
        sets = {role: read_set(place, spec) for role, spec in specs.items()}
        self.inputs = prepare(place, self.source, specs, sets, template="auto", system_prompt=None)
        self.libraries = status("VmRSS")
        self.model = load_model(self.source)
        self.clock, self.kind = clock_for(args.threads)

    def trainer(self, name: str) -> Trainer:
        """A method on the shared model, seeing the same samples as every other."""
        self.model.requires_grad_()
        algorithm = self.place.plugins.build("algorithm", name, {})
        inputs = chosen(self.inputs, other_answers(algorithm, name), seed=0)
        n, batch = len(inputs.encoded["forget"]), self.args.batch_size
        plan = TrainingPlan(
            n=n, epochs=1000, max_steps=None, batch_size=batch, grad_accum=1, lr=1e-9, schedule="constant", warmup=0.0,
            weight_decay=0.0, max_grad_norm=1.0, seed=0,
        )  # fmt: skip
        return Trainer(
            model=self.model, algorithm=algorithm, name=name, plan=plan, sets=inputs.encoded,
            draw=lambda step: [(step * batch + i) % n for i in range(batch)], pad=inputs.pad,
            anchors={role: self.anchors(inputs, role) for role in algorithm.anchors},
        )  # fmt: skip

    def anchors(self, inputs: Inputs, role: str) -> torch.Tensor:
        items = inputs.encoded[role]
        with torch.inference_mode():
            batches = [collate(items, [row], pad=inputs.pad) for row in range(len(items))]
            return torch.cat([label_scores(self.model, batch).nll for batch in batches])

    def tokens(self, trainer: Trainer, step: int) -> int:
        """Real tokens of the texts that a step runs the model on."""
        (rows,) = trainer._micro_batches(step, trainer.draw(step))
        return sum(len(trainer.sets[name][row]) for name in trainer.algorithm.reads for row in rows[name])

    def compare(self) -> None:
        args = self.args
        weights = sum(p.numel() for p in self.model.parameters())
        batch, name = args.batch_size, Path(self.source.label).name
        print(f"{name}: {weights:,} weights; batches of {batch} + {batch} of {args.forget} and {args.retain}")
        print(f"threads: {args.threads}, so {self.kind}; medians of {args.steps} steps")
        found = {name: Parts(self.clock) for name in args.methods}
        whole = Parts(self.clock)
        turns = [Turn(self, name, parts) for name, parts in found.items()]
        turns.append(Turn(self, "graddiff", whole, every_logit=True))
        for _ in range(args.steps):  # step by step, so that what else the machine does falls on all alike
            for turn in turns:
                turn.take()
        heading("a step, and its parts")
        print("  method         step  forward backward clip+rest optimiser  tokens/s  × graddiff  (its tokens)")
        base, read = found["graddiff"].step, found["graddiff"].median("tokens")
        for name, parts in found.items():
            share = parts.median("tokens") / read
            print(f"  {name:<12}{parts.line()}  {parts.step / base:9.3f}  {share:12.3f}", flush=True)
        heading("targets")
        for name, most in AT_MOST.items():
            if name in found:
                verdict(f"{name}'s step, times GradDiff's", found[name].step / base, most)
        labels, every = self.heads(self.trainer("graddiff"))
        verdict("logits of labels and their loss, times every logit and its loss", labels / every, 1 - CHEAPER)
        print(f"    {labels:.3f} and {every:.3f} s, with their gradients, of a step's {base:.3f} and {whole.step:.3f}")
        verdict("the whole step of GradDiff, the same", base / whole.step, 1 - CHEAPER)
        for name, parts in found.items():
            verdict(f"{name}: share outside forward, backward and optimiser", parts.outside, OUTSIDE)
        heading("memory, MB: the peak of three steps in a process of its own, less what libraries take")
        peaks = {name: self.in_process(name) for name in args.methods}
        for name, bytes_ in peaks.items():
            print(f"  {name:<12}{bytes_ / 1e6:8.0f}   {bytes_ / peaks['graddiff']:6.3f} × graddiff", flush=True)
        if "npo" in peaks:
            verdict("npo's memory, times GradDiff's", peaks["npo"] / peaks["graddiff"], AT_MOST["npo"])

    def heads(self, trainer: Trainer) -> tuple[float, float]:
        """Median seconds of a step's logits, loss and their gradients, given its hidden states: of label tokens alone,
        and of every position."""
        head: Any = self.model.get_output_embeddings()
        spent: tuple[list[float], list[float]] = ([], [])
        for step_ in range(self.args.steps):
            (rows,) = trainer._micro_batches(step_, trainer.draw(step_))
            batches = [collate(trainer.sets[name], rows[name], pad=trainer.pad) for name in trainer.algorithm.reads]
            targets = joined(batches).labels[:, 1:].flatten()
            for times, wanted in zip(spent, (targets[targets != -100], targets), strict=True):
                states = torch.randn(len(wanted), head.in_features, requires_grad=True)
                began = self.clock()
                cross_entropy(head(states).float(), wanted, ignore_index=-100, reduction="none").sum().backward()
                times.append(self.clock() - began)
                head.weight.grad = None
        return statistics.median(spent[0]), statistics.median(spent[1])

    def in_process(self, name: str) -> float:
        command = [sys.executable, __file__, "--memory", name, "--batch-size", str(self.args.batch_size)]
        command += ["--threads", str(self.args.threads), "--forget", self.args.forget, "--retain", self.args.retain]
        command += ["--model", self.args.model] if self.args.model else []
        return float(subprocess.run(command, check=True, text=True, capture_output=True).stdout)

    def remember(self, name: str) -> None:
        steps = self.trainer(name).steps()
        for _ in range(3):
            next(steps)
        print(status("VmHWM") - self.libraries)


class Turn:
    """A method's steps, one when asked."""

    def __init__(self, bench: Bench, name: str, parts: Parts, *, every_logit: bool = False) -> None:
        self._bench, self._parts, self._every_logit = bench, parts, every_logit
        self._trainer = bench.trainer(name)
        self._trained = {name for name, p in bench.model.named_parameters() if p.requires_grad}
        self._steps = self._trainer.steps()
        with self._passes():
            next(self._steps)  # makes the optimiser's tensors

    def take(self) -> None:
        for name, parameter in self._bench.model.named_parameters():
            parameter.requires_grad_(name in self._trained)
        tokens = self._bench.tokens(self._trainer, self._trainer.done)
        with self._passes(), self._parts.watching(tokens):
            next(self._steps)

    def _passes(self) -> Any:
        return mock.patch.object(step, "_Pass", EveryLogit) if self._every_logit else nullcontext()


class EveryLogit:
    """A pass as a language model's own loss makes it: logits of every position, and a cross-entropy over all of them
    that leaves out what has no label."""

    def __init__(self, model: Any, batches: Sequence[Batch], *, cuts: bool, look: Any) -> None:
        del cuts, look
        whole = joined(batches)
        logits = model(input_ids=whole.ids, attention_mask=whole.mask, use_cache=False).logits[:, :-1].float()
        labels = whole.labels[:, 1:]
        nll = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none")
        self._logprobs, self._first = -nll.view(labels.shape), {}
        at = 0
        for one in batches:
            self._first[id(one)], at = at, at + len(one)

    def scores(self, batch: Batch) -> LabelScores:
        labelled = batch.labels[:, 1:] != -100
        first = self._first[id(batch)]
        return placed(self._logprobs[first : first + len(batch), : labelled.shape[1]][labelled], batch)


class Parts:
    """Seconds of each part of each step, by the functions that do it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.steps: list[dict[str, float]] = []

    @contextmanager
    def watching(self, tokens: int) -> Iterator[None]:
        spent: dict[str, float] = defaultdict(float)
        targets = (
            (Trainer, "_losses", "forward"), (torch.autograd, "backward", "backward"), (Optimizer, "step", "optimiser"),
        )  # fmt: skip
        with ExitStack() as stack:
            for owner, name, part in targets:
                stack.enter_context(mock.patch.object(owner, name, self._timed(getattr(owner, name), part, spent)))
            began = self.clock()
            yield
            spent["step"] = self.clock() - began
        spent["tokens"] = tokens
        self.steps.append(spent)

    def _timed(self, function: Any, part: str, spent: dict[str, float]) -> Any:
        def run(*args: Any, **more: Any) -> Any:
            began = self.clock()
            try:
                return function(*args, **more)
            finally:
                spent[part] += self.clock() - began

        return run

    def median(self, part: str) -> float:
        return statistics.median(step[part] for step in self.steps)

    @property
    def step(self) -> float:
        return self.median("step")

    @property
    def rest(self) -> float:
        known = ("forward", "backward", "optimiser")
        return statistics.median(step["step"] - sum(step[part] for part in known) for step in self.steps)

    @property
    def outside(self) -> float:
        return self.rest / self.step

    def line(self) -> str:
        shown = [self.step, self.median("forward"), self.median("backward"), self.rest, self.median("optimiser")]
        per_second = sum(step["tokens"] for step in self.steps) / sum(step["step"] for step in self.steps)
        return "".join(f"{value:9.3f}" for value in shown) + f"{per_second:10.0f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", help="a folder or gguf:FILE")
    parser.add_argument("--forget", default="tofu:forget01")
    parser.add_argument("--retain", default="tofu:retain99")
    parser.add_argument("--methods", nargs="+", default=list(LOCAL))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
