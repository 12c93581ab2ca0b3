"""Does it matter which forget samples come when? Every sampler with every algorithm, over paired seeds.

A run goes on until every forget sample has passed the threshold, and is looked at twice on the way: when the forget
set's mean NLL passes it, and when its every sample does. What counts at each point is how many updates it took and what
they cost: the NLL of retain samples, and the kit's own model utility over a part of them.

    python benchmarks/samplers.py WORK                      # a tiny model, taught once and kept in WORK
    python benchmarks/samplers.py WORK --model FOLDER --forget tofu:forget01 --retain tofu:retain99 --lr 2e-5
    python benchmarks/samplers.py WORK --table              # what is there so far, as markdown

Each finished run is a line of WORK/runs.jsonl, so the work can be interrupted and goes on. Runs of one seed see the
same retain samples in the same order. A sampler is written as on a command line: `mrd:refresh=1,temperature=2`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnkit.contracts import Algorithm, Pool, Sampler, ScoreRequest, Undefined
from unlearnkit.data.samples import DataSpec
from unlearnkit.errors import UnlearnkitError
from unlearnkit.metrics.intervals import bootstrap
from unlearnkit.runs.workplace import Workplace
from unlearnkit.seeds import derive
from unlearnkit.settings import load_settings
from unlearnkit.training.plan import TrainingPlan, by_epoch

if TYPE_CHECKING:
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.training.probes import Probes

ALGORITHMS = ("ga", "graddiff", "npo")
RATE = 3e-4
"""With which the tiny model takes 20 to 60 updates."""
SAMPLERS = (
    "uniform",
    *(
        f"{sampler}refresh={refresh}"
        for sampler in (
            "mrd:", "mrd:replacement=false,", "mrd-per-token:", "curriculum:", "hard-first:", "stratified:",
            "active:weight=mrd,", "active:weight=inverse-mrd,",
        )
        for refresh in (0, 1)
    ),
    "active",
)  # fmt: skip
RULES = {"mean": "the mean passes", "every": "every sample passes"}
HORIZON = 6
"""Epochs after which a curriculum is open: about what uniform sampling needs."""


# ------------------------------------------------------------------------------------------------------------- material


@dataclass
class Material:
    """What all runs share: a model to begin with, encoded sets, and what was measured of the former."""

    place: Workplace
    inputs: Inputs
    model: Any
    measured: Sequence[int]
    """Retain rows whose NLL is measured."""
    asked: Sequence[int]
    """Retain rows that the model utility is read from."""
    max_new_tokens: int
    anchors: Mapping[str, Any]
    start: Mapping[str, Any]
    first_scores: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Workplace, args: argparse.Namespace) -> Material:
        from unlearnkit.models import load_model
        from unlearnkit.runs.anchors import reference_nll
        from unlearnkit.runs.inputs import find_model, prepare, read_set

        model, forget, retain = args.model, args.forget, args.retain
        if model is None:
            model, forget, retain = taught(place, args.work)
        specs = {"forget": DataSpec(forget), "retain": DataSpec(retain)}
        sets = {role: read_set(place, spec) for role, spec in specs.items()}
        inputs = prepare(place, find_model(place, model), specs, sets, template="auto", system_prompt=None)
        inputs.record(place)
        loaded = load_model(inputs.model)
        n = len(inputs.encoded["retain"])
        return cls(
            place=place,
            inputs=inputs,
            model=loaded,
            measured=spread(n, args.retain_samples),
            asked=spread(n, args.utility_samples),
            max_new_tokens=args.max_new_tokens,
            anchors={"forget": reference_nll(place, loaded, inputs, "forget")},
            start={name: tensor.clone() for name, tensor in loaded.state_dict().items()},
        )

    def retain_nll(self) -> float:
        """Mean over the measured retain samples, nats per label token."""
        import torch

        from unlearnkit.data.collate import collate, plan
        from unlearnkit.losses import label_scores

        items = [self.inputs.encoded["retain"][row] for row in self.measured]
        device = next(self.model.parameters()).device
        found: list[float] = []
        with torch.inference_mode():
            for rows in plan(items, 8):
                scores = label_scores(self.model, collate(items, rows, pad=self.inputs.pad, device=device))
                found += (scores.nll.double() / scores.tokens).tolist()
        return float(np.mean(found))

    def utility(self) -> float | None:
        """The kit's model utility over its retain terms."""
        from unlearnkit.evaluating import Evaluator, columns, measured, pieces
        from unlearnkit.metrics.model_utility import TERMS, ModelUtility

        if not self.asked:
            return None
        metrics = {name: self.place.plugins.build("metric", name, {}) for name in TERMS["retain"]}
        evaluator = Evaluator(self.model, self.inputs.tokenizer, 8)
        rows = []
        for piece in pieces([self.inputs.sets["retain"].samples[row] for row in self.asked], 8):
            needs = {need for metric in metrics.values() for need in metric.needs}
            probe = evaluator.probe(piece, needs, self.inputs.template, max_new_tokens=self.max_new_tokens)
            rows += [row for name, metric in metrics.items() for row in measured(name, metric, "retain", probe)]
        found = ModelUtility().combine(
            columns(rows, {("retain", name): metric for name, metric in metrics.items()}), None
        )
        return None if isinstance(found, Undefined) else found

    def scores(self, request: ScoreRequest) -> np.ndarray:
        """Scores of the forget samples under the weights as they are, row by row, NaN where undefined."""
        from unlearnkit.progress import SILENT
        from unlearnkit.scoring import Ledger, Work, here, measure, open_bench

        scorer = self.place.plugins.build("scorer", request.scorer, request.options)
        items = self.inputs.encoded["forget"]
        encoded = [item.labelled_whole() for item in items] if scorer.tokens == "all" else items
        work = Work(self.inputs.sets["forget"].samples, encoded, self.inputs.pad, seed=0)
        ledger = Ledger(Forgetful(), "", scorer, len(work.plan))  # type: ignore[arg-type]
        with open_bench(work, scorer, lambda: self.model) as bench:
            measure(ledger, here(scorer, bench), SILENT)
        values = np.full(len(items), np.nan)
        for row, score in zip(work.rows, ledger.outcome().scores, strict=True):
            values[row] = np.nan if score.value is None else score.value
        return values


class Forgetful:
    """A store that keeps nothing: the ledger's own memory is enough for one measurement."""

    def blocks(self, series: str) -> dict[Any, Any]:
        del series
        return {}

    units = blocks

    def put_block(self, *_: Any) -> None: ...


def taught(place: Workplace, work: Path) -> tuple[str, str, str]:
    """The demo's people and a tiny model that knows them all: (model, forget, retain)."""
    from unlearnkit.demo.people import people, write
    from unlearnkit.demo.run import LEARN
    from unlearnkit.demo.tiny import build
    from unlearnkit.runs.finetune import finetune

    forget, retain = write(work)
    base = work / "base"
    if not base.is_dir():
        build(base, [text for row in people() for text in (row["question"], row["answer"])])
    both = (DataSpec(str(forget)), DataSpec(str(retain)))
    made = finetune(place, model=str(base), data=both, schedule=LEARN, out=str(work / "full"))
    return made.model_dir, str(forget), str(retain)


def spread(n: int, wanted: int) -> list[int]:
    """At most `wanted` of n rows, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, wanted))}) if wanted else []


# ----------------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Case:
    """One run."""

    algorithm: str
    sampler: str
    seed: int
    lr: float
    batch_size: int
    probe_every: int
    threshold: float

    @property
    def key(self) -> str:
        return json.dumps(vars(self), sort_keys=True)


def run(on: Material, case: Case, max_updates: int) -> dict[str, Any]:
    """Train until every sample has passed, or for `max_updates`; what was found at both points. A retain loss at which
    `unlearn` would give the run up is part of what is found."""
    from unlearnkit.training import loop
    from unlearnkit.training.loop import Diverged, Trainer
    from unlearnkit.training.probes import Probes

    loop.EXPLODED = float("inf")

    began = time.monotonic()
    on.model.load_state_dict(on.start)
    n = len(on.inputs.encoded["forget"])
    plan = TrainingPlan(
        n=n, epochs=max_updates, max_steps=max_updates, batch_size=case.batch_size, grad_accum=1, lr=case.lr,
        schedule="constant", warmup=0.0, weight_decay=0.01, max_grad_norm=1.0, seed=case.seed,
    )  # fmt: skip
    algorithm: Algorithm = on.place.plugins.build("algorithm", case.algorithm, {})
    probes = Probes([sample.id for sample in on.inputs.sets["forget"].samples])
    trainer = Trainer(
        model=on.model,
        algorithm=algorithm,
        name=case.algorithm,
        plan=plan,
        sets=on.inputs.encoded,
        draw=drawing(on, case, plan, probes),
        pad=on.inputs.pad,
        anchors=on.anchors,
        probes=probes,
        probe_every=case.probe_every,
    )
    points: dict[str, Any] = {}

    def passed() -> bool:
        """Whether every sample has, with a look at both points as they are come to."""
        nll = probes.known(trainer.done)
        for rule, passes in (("mean", nll.mean()), ("every", nll.min())):
            if probes.swept == trainer.done and rule not in points and passes >= case.threshold:
                points[rule] = look(on, trainer.done, nll)
                on.model.train()
        return "every" in points

    ended = "max_updates"
    try:
        for _ in trainer.steps():
            if passed():
                break
        if passed():  # a sampler that finds nothing left ends training itself
            ended = "every"
    except Diverged:
        ended = "diverged"
    return {
        **vars(case),
        "ended": ended,
        "updates": trainer.done,
        "points": points,
        "seconds": round(time.monotonic() - began, 1),
    }


def look(on: Material, updates: int, nll: np.ndarray) -> dict[str, Any]:
    on.model.eval()
    return {
        "updates": updates,
        "retain_nll": on.retain_nll(),
        "utility": on.utility(),
        "forget_mean": float(nll.mean()),
        "forget_worst": float(nll.min()),
    }


def drawing(on: Material, case: Case, plan: TrainingPlan, probes: Probes) -> Callable[[int], Sequence[int]]:
    """The rows of each step, as the kit's own `unlearn` draws them."""
    sampler = build_sampler(on.place, case.sampler)
    needs, n = sampler.needs, plan.n
    scores: dict[int, np.ndarray] = {}

    def scored(epoch: int) -> np.ndarray | None:
        if needs is None:
            return None
        epoch -= epoch % needs.refresh if needs.refresh else epoch
        if epoch not in scores:
            wanted = json.dumps([needs.scorer, dict(needs.options)])
            if epoch == 0 and wanted in on.first_scores:
                scores[0] = on.first_scores[wanted]
            else:
                scores[epoch] = on.scores(needs)
            if epoch == 0:
                on.first_scores[wanted] = scores[0]
        return scores[epoch]

    tokens = np.array([item.tokens for item in on.inputs.encoded["forget"]])

    def draw(step: int, size: int, number: int) -> Sequence[int]:
        epoch = plan.epoch(step)
        pool = Pool(
            n, size, min(epoch, HORIZON - 1), HORIZON, scored(epoch), probes.known(step), np.full(n, case.threshold),
            tokens,
        )  # fmt: skip
        return sampler.order(pool, np.random.default_rng(derive(plan.seed, "order", number))).tolist()

    if sampler.every == "step":
        return lambda step: draw(step, plan.size(step), step)
    return by_epoch(plan, lambda epoch: draw(epoch * plan.steps_per_epoch, n, epoch))


def build_sampler(place: Workplace, spec: str) -> Sampler:
    """A sampler from `name:option=value,option=value`."""
    name, _, options = spec.partition(":")
    given = dict(pair.split("=", 1) for pair in options.split(",") if pair)
    return place.plugins.build("sampler", name, given)  # type: ignore[no-any-return]


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """Seed after seed, so that what is there at any time can be compared."""
    for seed in range(args.seeds):
        for algorithm in args.algorithms:
            for sampler in args.samplers:
                yield Case(algorithm, sampler, seed, args.lr, args.batch_size, args.probe_every, args.threshold)


# ---------------------------------------------------------------------------------------------------------------- table


def tables(found: Sequence[Mapping[str, Any]], samplers: Sequence[str]) -> Iterator[str]:
    """All algorithms under both rules, as markdown."""
    for algorithm in sorted({run["algorithm"] for run in found}):
        by_sampler: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
        for run in found:
            if run["algorithm"] == algorithm:
                by_sampler[run["sampler"]][run["seed"]] = run
        shown = [s for s in samplers if s in by_sampler] + sorted(by_sampler.keys() - set(samplers))
        for rule, title in RULES.items():
            yield f"\n### {algorithm}, until {title}\n"
            yield from table({s: by_sampler[s] for s in shown}, rule)


def table(runs: Mapping[str, Mapping[int, Mapping[str, Any]]], rule: str) -> Iterator[str]:
    points = {s: {seed: r["points"][rule] for seed, r in of.items() if rule in r["points"]} for s, of in runs.items()}
    base = points.get("uniform", {})
    frontier = undominated({s: of for s, of in points.items() if len(of) == len(runs[s])})
    yield (
        "| sampler | reached | updates | Δ updates | retain NLL | Δ retain NLL | utility | forget NLL, mean | worst "
        "| frontier |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for sampler, of in points.items():
        cells = [sampler, f"{len(of)}/{len(runs[sampler])}"]
        for key, digits in (("updates", 1), ("retain_nll", 3)):
            cells += [mean_of(of, key, digits), "" if sampler == "uniform" else against(of, base, key, digits)]
        cells += [mean_of(of, "utility", 3), mean_of(of, "forget_mean", 2), mean_of(of, "forget_worst", 2)]
        yield f"| {' | '.join([*cells, '●' if sampler in frontier else ''])} |"


def mean_of(points: Mapping[int, Mapping[str, Any]], key: str, digits: int) -> str:
    """Mean and standard deviation over seeds."""
    values = [point[key] for point in points.values() if point[key] is not None]
    if not values:
        return "-"
    spread_ = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread_}"


def against(
    points: Mapping[int, Mapping[str, Any]], base: Mapping[int, Mapping[str, Any]], key: str, digits: int
) -> str:
    """Mean difference to uniform over the seeds that both have, with a 95 % bootstrap interval."""
    both = sorted(points.keys() & base.keys())
    if not both:
        return "-"
    differences = np.array([points[seed][key] - base[seed][key] for seed in both], dtype=float)
    bounds = bootstrap(differences, draws=10_000)
    interval = "" if bounds is None else f" [{bounds[0]:+.{digits}f}, {bounds[1]:+.{digits}f}]"
    return f"{differences.mean():+.{digits}f}{interval}"


def undominated(points: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> set[str]:
    """Samplers than which none is both quicker and kinder to the retain set, in the means of those that always got
    there."""
    at = {
        s: tuple(float(np.mean([p[key] for p in of.values()])) for key in ("updates", "retain_nll"))
        for s, of in points.items()
        if of
    }
    return {
        s for s, mine in at.items()
        if not any(other != mine and all(o <= m for o, m in zip(other, mine, strict=True)) for other in at.values())
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- main


def main() -> None:
    args = arguments()
    file = args.work / "runs.jsonl"
    if args.table:
        print("\n".join(tables(read(file), args.samplers)).strip())
        return
    args.work.mkdir(parents=True, exist_ok=True)
    settings = replace(load_settings(), store=str(args.work / "store.db"), threads=args.threads, tofu_dir=args.tofu_dir)
    with Workplace(settings) as place:
        place.environment()  # threads, and kernels that give the same bits every time
        for spec in args.samplers:
            build_sampler(place, spec)
        on = Material.of(place, args)
        done = {json.dumps({k: r[k] for k in Case.__dataclass_fields__}, sort_keys=True) for r in read(file)}
        for case in cases(args):
            if case.key in done:
                continue
            found = run(on, case, args.max_updates)
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(found) + "\n")
            shown = {rule: f"{p['updates']} ({p['retain_nll']:.3f})" for rule, p in found["points"].items()}
            print(f"{case.algorithm} {case.sampler} seed {case.seed}: {shown} {found['seconds']} s", flush=True)


def read(file: Path) -> list[dict[str, Any]]:
    """The runs that are finished; a line that a kill cut short is none."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.endswith("}")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the model, the store and the runs")
    parser.add_argument("--model", help="a model that knows the forget set; default: a tiny one is taught")
    parser.add_argument("--forget", help="data, with --model")
    parser.add_argument("--retain", help="data, with --model")
    parser.add_argument("--tofu-dir", type=Path, help="folder of tofu:NAME's files")
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--samplers", nargs="+", default=SAMPLERS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--lr", type=float, default=RATE)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threshold", type=float, default=2.0, help="nats per label token")
    parser.add_argument("--probe-every", type=int, default=1, help="updates between looks at the whole forget set")
    parser.add_argument("--max-updates", type=int, default=200)
    parser.add_argument("--retain-samples", type=int, default=160, help="whose NLL is measured")
    parser.add_argument("--utility-samples", type=int, default=40, help="that utility is read from; 0: none")
    parser.add_argument("--max-new-tokens", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print what is there and do nothing else")
    args = parser.parse_args()
    if args.model and not (args.forget and args.retain):
        parser.error("--model needs --forget and --retain")
    return args


if __name__ == "__main__":
    try:
        main()
    except UnlearnkitError as error:
        raise SystemExit(f"error: {error.message}\nhint: {error.hint}") from error
