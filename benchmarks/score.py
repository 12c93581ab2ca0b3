"""What scoring costs: each part of it, the whole against the forward passes it needs, memory, and estimators compared.

    python benchmarks/score.py [--model MODEL] [--data DATA] [--pairs 8] [--singles 48] [--threads 2]

Without a model it takes the GGUF file of `python -m unlearnkit.models.gguf fetch`. The store is in a temporary folder.
With one thread parts are timed by the processor time of this process, which other work on the machine hardly changes.
With more it is the clock on the wall: then read the ratios, which come from within one run.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats  # noqa: F401 - which reduction would import within its time
import torch
from machine import Clock, clock_for, heading, peak, resident, row, timed, verdict

from unlearnkit import scoring
from unlearnkit.contracts import Unit
from unlearnkit.data.samples import DataSpec
from unlearnkit.losses import label_scores
from unlearnkit.models import load_model
from unlearnkit.models.gguf import fetched
from unlearnkit.progress import SILENT
from unlearnkit.runs.inputs import find_model, prepare, read_set
from unlearnkit.runs.workplace import Workplace
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.noise import NoisyWeights
from unlearnkit.settings import Settings

TARGET_NOISE, TARGET_WHOLE, TARGET_PASSES, TARGET_RELIABILITY = 0.15, 1.1, 8, 0.9
ROOM = 300e6
"""Bytes that may be taken besides weights, snapshot and the activations of a batch."""
HERE = Path(__file__).resolve().parent


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory(prefix="unlearnkit-bench-") as folder:
        tofu = Path(os.environ.get("UNLEARNKIT_TOFU_DIR") or HERE.parents[1] / "shared" / "tofu")
        settings = Settings(store=str(Path(folder) / "bench.db"), tofu_dir=tofu, threads=args.threads)
        with Workplace(settings) as place:
            place.environment()  # sets the threads
            run(place, args)


def run(place: Workplace, args: argparse.Namespace) -> None:
    work, load, name = prepared(place, args)
    libraries = resident()
    model = load()
    bench = scoring.ModelBench.of(work, model)
    weights = sum(p.nbytes for p in model.parameters())
    tokens = sum(map(len, work.encoded)), sum(item.tokens for item in work.encoded)
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} weights; {len(work.encoded)} samples of {args.data}")
    clock, kind = clock_for(args.threads)
    print(f"{tokens[0]:,} tokens, {tokens[1]:,} of them labels; threads: {args.threads}, so timed by {kind}")

    heading(f"one sweep of the data, {kind} (best of 2)")
    sweeps(bench, clock)
    heading(f"the parts of a draw, {kind}")
    noise(model, args, clock)

    widest = max((batch for shard in bench.shards for batch in shard), key=lambda batch: batch.ids.numel())
    with peak() as activations:
        bench.scores(widest)
    scorer = MRD(draws=args.pairs, sigma=args.sigma)
    ledger = scoring.Ledger(place.store, "benchmark", scorer, len(work.plan))
    with peak() as memory, Watch(model, place.store, clock) as watch:
        scoring.measure(ledger, scoring.here(scorer, bench), SILENT)
        watch.during("reduction", ledger.outcome)
    heading(f"the whole at {args.pairs} pairs, {kind}")
    whole(watch)
    heading("memory, MB")
    active = activations.highest - activations.before
    print(f"  weights {weights / 1e6:.0f}, snapshot as much, activations of the widest batch {active / 1e6:.0f}")
    print("  (activations: the peak of resident memory over one pass, less what was resident before it)")
    limit = 2 * weights + active + ROOM
    verdict("peak above what the libraries take", (memory.highest - libraries) / 1e6, limit / 1e6, "{:.0f}")
    print(f"  libraries before a model was loaded {libraries / 1e6:.0f}, peak in all {memory.highest / 1e6:.0f}")

    heading(f"until the ranking's reliability stays at {TARGET_RELIABILITY} or above, wall seconds as stored")
    estimators(place, bench, scorer, args.singles)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", help="a folder or gguf:FILE")
    parser.add_argument("--data", default="tofu:forget01")
    parser.add_argument("--pairs", type=int, default=8, help="draws ±δ")
    parser.add_argument(
        "--singles", type=int, default=48, help="draws +δ in all, for the estimators that read no other"
    )
    parser.add_argument("--sigma", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def prepared(place: Workplace, args: argparse.Namespace) -> tuple[scoring.Work, Callable[[], Any], str]:
    """What is scored, how the model is loaded, and its name."""
    if args.model is None and fetched() is None:
        raise SystemExit("no model: give --model, or python -m unlearnkit.models.gguf fetch")
    source = find_model(place, args.model or f"gguf:{fetched()}")
    spec = {"data": DataSpec(args.data)}
    read = {"data": read_set(place, spec["data"])}
    inputs = prepare(place, source, spec, read, template="auto", system_prompt=None).unique("data")
    samples, items = inputs.sets["data"].samples, inputs.encoded["data"]
    work = scoring.Work(samples, items, pad=inputs.pad, seed=0, batch_size=args.batch_size)
    return work, lambda: load_model(source), Path(source.label).name


def sweeps(bench: scoring.ModelBench, clock: Clock) -> None:
    """A pass over all samples: with all logits, with those of labels alone, and with the shared prefix run once."""
    batches = [batch for shard in bench.shards for batch in shard]

    def everything() -> None:
        for batch in batches:
            bench.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)

    def labels() -> None:
        for batch in batches:
            label_scores(bench.model, batch, precise=True)

    def shared() -> None:
        with torch.no_grad():
            next(bench.model.parameters()).add_(0)  # as a new draw would: the prefix has to be run again
        for batch in batches:
            bench.scores(batch)

    prefix = bench._prefix.ids.shape[1] if bench._prefix else 0
    for what, sweep in (
        ("logits everywhere", everything),
        ("log-probabilities of labels", labels),
        (f"the same, shared prefix of {prefix} tokens run once", shared),
    ):
        with torch.inference_mode():
            row(what, min(timed(sweep, clock) for _ in range(2)))
    with torch.inference_mode():
        found, plain = bench.scores(batches[-1]).logprobs, label_scores(bench.model, batches[-1], precise=True).logprobs
    print(f"  largest difference that the prefix makes to a log-probability: {float((found - plain).abs().max()):.1e}")


def noise(model: Any, args: argparse.Namespace, clock: Clock) -> None:
    weights = NoisyWeights(model, 0, args.sigma)
    row("snapshot and the first noise", timed(lambda: weights.set(0, 1), clock))
    row("noise of a further draw", timed(lambda: weights.set(1, 1), clock))
    row("its mirror image", timed(lambda: weights.set(1, -1), clock))
    row("weights restored", timed(weights.restore, clock))


class Watch:
    """Where a run's time goes: in the model's forward pass, in noise and its removal, in the store, in reduction."""

    def __init__(self, model: Any, store: Any, clock: Clock) -> None:
        self.clock = clock
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.places = [
            (type(model), "forward", "forward passes"),
            (NoisyWeights, "set", "noise and mirror"),
            (NoisyWeights, "restore", "restore"),
            (type(store), "put_block", "store"),
        ]

    def __enter__(self) -> Watch:
        self.before = [getattr(owner, name) for owner, name, _ in self.places]
        for (owner, name, what), function in zip(self.places, self.before, strict=True):
            setattr(owner, name, self._watched(function, what))
        self.began = self.clock()
        return self

    def __exit__(self, *_: object) -> None:
        self.total = self.clock() - self.began
        for (owner, name, _what), function in zip(self.places, self.before, strict=True):
            setattr(owner, name, function)

    def during(self, what: str, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        began = self.clock()
        try:
            return work(*args, **more)
        finally:
            self.seconds[what] += self.clock() - began
            self.calls[what] += 1

    def _watched(self, function: Callable[..., Any], what: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **more: Any) -> Any:
            return self.during(what, function, *args, **more)

        return watched


def whole(watch: Watch) -> None:
    for what, seconds in watch.seconds.most_common():
        row(f"{what}, {watch.calls[what]} calls", seconds, watch.total)
    row("log-softmax in float64 and the rest", watch.total - sum(watch.seconds.values()), watch.total)
    row("all", watch.total)
    disturbed = watch.seconds["noise and mirror"] + watch.seconds["restore"]
    verdict("noise and restore, share", disturbed / watch.total, TARGET_NOISE)
    verdict("whole against its forward passes", watch.total / watch.seconds["forward passes"], TARGET_WHOLE)


@dataclass
class Reached:
    """How far an estimator had to go. `passes` and `seconds` are those of all its draws where it did not get there."""

    reached: bool
    draws: int
    passes: int
    seconds: float
    best: float

    @property
    def mark(self) -> str:
        return "" if self.reached else ">"


def told(found: Reached) -> str:
    mark, more = found.mark, "" if found.reached else f" (about {projected(found.best, found.draws)} draws would do)"
    return f"{mark}{found.draws} draws, {mark}{found.passes} forward passes, {mark}{found.seconds:.0f} s{more}"


def estimators(place: Workplace, bench: scoring.ModelBench, scorer: MRD, singles: int) -> None:
    """Read each estimator's reliability off the first n draws of one run, n by n."""
    shards = len(bench.shards)
    more = replace(scorer, draws=max(singles, scorer.draws), estimator="mean-abs")
    ledger = scoring.Ledger(place.store, "benchmark", more, shards)
    scoring.measure(ledger, scoring.here(more, bench), SILENT)
    draws, seconds = drawn(place, shards), place.store.units("benchmark")
    found: dict[str, Reached] = {}
    for estimator, most in (("antithetic", scorer.draws), ("plain", more.draws), ("mean-abs", more.draws)):
        asked = [replace(scorer, draws=n, estimator=estimator) for n in range(2, most + 1)]
        reliabilities = [one.agreement(draws) or 0.0 for one in asked]
        short = [i for i, r in enumerate(reliabilities) if r < TARGET_RELIABILITY]
        first = short[-1] + 1 if short else 0
        enough = asked[min(first, len(asked) - 1)]
        units = list(enough.units(shards, draws))
        found[estimator] = Reached(
            first < len(asked),
            enough.draws,
            len({(unit.draw, unit.sign) for unit in units}),
            sum(seconds[unit] or 0 for unit in units),
            reliabilities[-1],
        )
        print(f"  {estimator:<11}{told(found[estimator])}; {reliabilities[-1]:.2f} with {most} draws")
    one, other = found["mean-abs"], found["antithetic"]
    ratio = one.passes / other.passes
    met = "met" if other.reached and ratio >= TARGET_PASSES else "not shown" if not one.reached else "missed"
    print(f"  mean-abs needs {one.mark}{ratio:.1f} times the passes of antithetic; target ≥ {TARGET_PASSES}: {met}")


def projected(reliability: float, draws: int) -> int | str:
    """Draws for the target by the Spearman-Brown formula."""
    if reliability <= 0:
        return "?"
    odds = TARGET_RELIABILITY / (1 - TARGET_RELIABILITY)
    return math.ceil(round(draws * odds * (1 - reliability) / reliability, 6))


def drawn(place: Workplace, shards: int) -> dict[tuple[int, int], np.ndarray]:
    """All draws of the run, samples in the plan's order."""
    blocks = place.store.blocks("benchmark")
    keys = {(unit.draw, unit.sign) for unit in blocks}
    return {key: np.concatenate([blocks[Unit(*key, shard)] for shard in range(shards)]) for key in keys}


if __name__ == "__main__":
    main()
