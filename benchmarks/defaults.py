"""Which learning rate each algorithm should have where none is given: a sweep over a tiny model that knows its data.

    python benchmarks/defaults.py WORK [--algorithms npo simnpo …] [--seeds 2]     # what is missing is run
    python benchmarks/defaults.py WORK --optimizer sgd --algorithms graddiff npo   # times the algorithms' own rates
    python benchmarks/defaults.py WORK --table                                     # what is there, as markdown

The model is the demo's, taught once and kept in WORK; all other options are the algorithms' own. Each run goes through
eight epochs and is looked at after some of them. A rate serves at an epoch where the forget set's probability is at
most half of its start, and model utility at least 80 %, with every seed. An algorithm's default is the smallest number
of epochs at which three rates serve, or as many as ever do, and the middle one of them, so that a model which is not
this one has some room. Rates are given times the model's width, as an algorithm's `rate` is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from samplers import Material

from unlearnkit.training.words import OPTIMIZERS

RATES = (0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
FACTORS = (1.0, 10.0, 15.0, 30.0, 100.0, 300.0, 600.0, 1000.0, 3000.0)
"""Of the algorithm's own rate, with another optimiser."""
EPOCHS = (2, 3, 4, 5, 6, 8)
"""After which a run is looked at."""
FORGOTTEN, KEPT = 0.5, 0.8
"""Shares of the start: of the forget set's probability at most, of model utility at least."""


def main() -> None:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    file = args.work / "defaults.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    if not args.table:
        from unlearnkit.runs.workplace import Workplace
        from unlearnkit.settings import Settings

        with Workplace(Settings(store=str(args.work / "store.db"), threads=args.threads)) as place:
            place.environment()  # sets the threads
            names = args.algorithms or sorted(place.plugins.offers("algorithm"))
            own = {name: place.plugins.resolve("algorithm", name).rate for name in names}
            done = {(run["algorithm"], run["rate"], run["seed"]) for run in of(found, args.optimizer)}
            todo = [c for c in cases(own, args.seeds, args.optimizer) if c not in done]
            on = Material.of(place, args) if todo else None
            for case in todo:
                assert on is not None
                run = trajectory(on, *case, args.optimizer)
                found.append(run)
                with file.open("a") as out:
                    out.write(json.dumps(run) + "\n")
                print(*case, run["ended"], f"{run['seconds']} s", flush=True)
    print("\n".join(table(of(found, args.optimizer))))


def of(found: Sequence[Mapping[str, Any]], optimizer: str) -> list[Mapping[str, Any]]:
    return [run for run in found if run.get("optimizer", "adamw") == optimizer]


def cases(own: Mapping[str, float], seeds: int, optimizer: str) -> Iterator[tuple[str, float, int]]:
    for seed in range(seeds):
        for name, rate in own.items():
            for tried in RATES if optimizer == "adamw" else [factor * rate for factor in FACTORS]:
                yield name, tried, seed


def trajectory(on: Material, name: str, rate: float, seed: int, optimizer: str) -> dict[str, Any]:
    """A run of one algorithm: forget probability and model utility before it and after each epoch."""
    from unlearnkit.runs.anchors import reference_nll
    from unlearnkit.runs.others import chosen, other_answers
    from unlearnkit.training.loop import Diverged, Trainer
    from unlearnkit.training.plan import TrainingPlan, by_epoch

    began = time.monotonic()
    on.model.load_state_dict(on.start)
    on.model.requires_grad_()
    algorithm = on.place.plugins.build("algorithm", name, {})
    others = other_answers(algorithm, name)
    inputs = chosen(on.inputs, others, seed)
    for other in others:
        if other.endswith(":generated"):
            inputs = generated(on, inputs, other)
    n = len(inputs.encoded["forget"])
    plan = TrainingPlan(
        n=n, epochs=EPOCHS[-1], max_steps=None, batch_size=8, grad_accum=1, lr=rate / inputs.model.width,
        schedule="constant", warmup=0.0, weight_decay=0.01, max_grad_norm=1.0, seed=seed,
        optimizer=optimizer,
    )  # fmt: skip
    trainer = Trainer(
        model=on.model, algorithm=algorithm, name=name, plan=plan, sets=inputs.encoded, pad=inputs.pad,
        draw=by_epoch(plan, lambda epoch: np.random.default_rng([seed, epoch]).permutation(n).tolist()),
        anchors={role: reference_nll(on.place, on.model, inputs, role) for role in algorithm.anchors},
    )  # fmt: skip
    looks, ended = {0: look(on, trainer)}, "epochs"
    try:
        for _ in trainer.steps():
            epoch, more = divmod(trainer.done, plan.steps_per_epoch)
            if epoch in EPOCHS and not more:
                looks[epoch] = look(on, trainer)
                on.model.train()
                if looks[epoch]["utility"] is None or looks[epoch]["utility"] < 0.3 * looks[0]["utility"]:
                    ended = "collapsed"
                    break
    except Diverged:
        ended = "diverged"
    seconds = round(time.monotonic() - began, 1)
    kept = {str(epoch): look for epoch, look in looks.items()}
    return {
        "algorithm": name, "optimizer": optimizer, "rate": rate, "seed": seed, "ended": ended, "looks": kept,
        "seconds": seconds,
    }  # fmt: skip


def generated(on: Material, inputs: Any, name: str) -> Any:
    """The inputs with the answers that the starting model itself gives; there is no run to keep them with."""
    from unlearnkit.runs.asking import other_answer
    from unlearnkit.runs.others import _with

    base = name.partition(":")[0]
    pairs = zip(inputs.sets[base].samples, inputs.encoded[base], strict=True)
    return _with(inputs, name, [other_answer(on.model.eval(), inputs, sample, own) for sample, own in pairs])


def look(on: Material, trainer: Any) -> dict[str, float | None]:
    nll = np.array([value for _, value in trainer.sweep("forget", range(len(trainer.sets["forget"])))])
    on.model.eval()
    return {"probability": float(np.exp(-nll).mean()), "utility": on.utility(), "retain_nll": on.retain_nll()}


# ---------------------------------------------------------------------------------------------------------------- table


def table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The default that each algorithm's runs speak for, as markdown."""
    runs: dict[str, dict[float, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in found:
        runs[run["algorithm"]][run["rate"]].append(run)
    yield "| algorithm | rate × width | epochs | forget probability | model utility | retain NLL | rates that serve |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in sorted(runs):
        best = default(runs[name])
        if best is None:
            yield f"| {name} | none serves | | | | | |"
            continue
        rate, epoch, serving = best
        at = [run["looks"][str(epoch)] for run in runs[name][rate]]
        start = runs[name][rate][0]["looks"]["0"]
        probability = np.mean([look["probability"] for look in at]) / start["probability"]
        utility = np.mean([look["utility"] for look in at]) / start["utility"]
        nll = np.mean([look["retain_nll"] for look in at])
        shown = ", ".join(f"{r:g}" for r in serving)
        yield f"| {name} | {rate:g} | {epoch} | {probability:.0%} | {utility:.0%} | {nll:.3f} | {shown} |"


def default(runs: Mapping[float, Sequence[Mapping[str, Any]]]) -> tuple[float, int, list[float]] | None:
    """(rate, epochs, rates that serve at that number of epochs), or None where none does."""
    candidates = []
    for epoch in EPOCHS:
        serving = [rate for rate in sorted(runs) if all(serves(run, epoch) for run in runs[rate])]
        if serving:
            candidates.append((min(len(serving), 3), -epoch, serving))
    if not candidates:
        return None
    _, negative, serving = max(candidates, key=lambda candidate: candidate[:2])
    return serving[(len(serving) - 1) // 2], -negative, serving


def serves(run: Mapping[str, Any], epoch: int) -> bool:
    start, at = run["looks"]["0"], run["looks"].get(str(epoch))
    if at is None or at["utility"] is None:  # it had collapsed before, or has done so
        return False
    return bool(at["probability"] <= FORGOTTEN * start["probability"] and at["utility"] >= KEPT * start["utility"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="folder for the model, the store and the runs")
    parser.add_argument("--algorithms", nargs="+")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print what is there and do nothing else")
    args = parser.parse_args()
    args.model = args.forget = args.retain = None
    args.retain_samples, args.utility_samples, args.max_new_tokens = 64, 32, 40
    return args


if __name__ == "__main__":
    main()
