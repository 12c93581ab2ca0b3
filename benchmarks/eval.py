"""What evaluating costs: a suite's metrics from one pass, against the same metrics one by one.

    python benchmarks/eval.py [--model MODEL] [--suite tofu] [--forget DATA] [--holdout DATA] [--samples N]
    python benchmarks/eval.py --suite benchmarks/peer.yaml      # what OpenUnlearning reads of the two sets

*Together* is `unlearnkit eval --suite SUITE`. *One by one, plainly* is how it is done without an engine: each metric
tokenises and runs its own texts, in batches in the order of the file, with every logit, and generation ends when its
last row does. *One by one* is this engine, asked for one metric at a time from an empty store. With one thread times
are processor seconds, which other work on the machine hardly changes: read the ratios.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from machine import Clock, clock_for, heading, row, timed, verdict
from torch.nn.functional import cross_entropy

from unlearnkit import evaluating
from unlearnkit.contracts import Metric, Probe, Sample, TokenScores
from unlearnkit.data.collate import collate, prompts
from unlearnkit.data.encode import Encoded, encode, pad_id
from unlearnkit.data.samples import DataSpec
from unlearnkit.evaluating import texts
from unlearnkit.models import load_model
from unlearnkit.models.gguf import fetched
from unlearnkit.runs.evaluate import checked_suite, eval_task, metrics_of
from unlearnkit.runs.inputs import find_model, read_set
from unlearnkit.runs.workplace import Workplace
from unlearnkit.settings import Settings

HERE = Path(__file__).resolve().parent
AT_MOST = 0.25
AGREES = 1e-3
"""By which a metric's mean may differ between the ways: rounding, and what it does to greedy decoding."""


def main() -> None:
    args = arguments()
    tofu = Path(os.environ.get("UNLEARNKIT_TOFU_DIR") or HERE.parents[1] / "shared" / "tofu")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-bench-") as folder:
        settings = Settings(store=str(Path(folder) / "bench.db"), tofu_dir=tofu, threads=args.threads)
        with Workplace(settings) as place:
            place.environment()  # sets the threads
            compare(place, args, Path(folder))


def compare(place: Workplace, args: argparse.Namespace, folder: Path) -> None:
    if args.model is None and fetched() is None:
        raise SystemExit("no model: give --model, or python -m unlearnkit.models.gguf fetch")
    source = find_model(place, args.model or f"gguf:{fetched()}")
    named = {"forget": DataSpec(args.forget), "holdout": DataSpec(args.holdout)}
    data = {split: spec for split, spec in named.items() if split in place.suite(args.suite).splits}
    sets = {split: read_set(place, spec) for split, spec in data.items()}
    sets = {split: replace(found, samples=found.samples[: args.samples]) for split, found in sets.items()}
    chosen = checked_suite(place, args.suite, data, max_new_tokens=args.max_new_tokens)
    task = eval_task(
        place, chosen, metrics_of(place, chosen), source, data, sets,
        max_new_tokens=args.max_new_tokens, template="auto", system_prompt=None, batch_size=args.batch_size,
    )  # fmt: skip
    parts = list(task.parts(place, source.fingerprint))
    model, (clock, kind) = load_model(source), clock_for(args.threads)
    evaluator = evaluating.Evaluator(model, task.inputs.tokenizer, args.batch_size, source.context)
    warm(evaluator, parts)
    counts = ", ".join(f"{len(part.samples)} samples of {data[part.split].source}" for part in parts)
    heading(f"{chosen.name}: {counts}, {args.max_new_tokens} new tokens at most; {kind}")

    means: dict[str, dict[str, float]] = {"together": {}, "one by one": {}, "plainly": {}}
    with parts_of(clock) as spent:
        together = timed(lambda: means["together"].update(measured(folder, parts, evaluator)), clock)
    row("together", together)
    for what, seconds in spent.items():
        row(f"  {what}", seconds, together)
    one_by_one = plainly = 0.0
    for part in parts:
        plain = Plainly(evaluator, part, args.batch_size)
        for name, metric in part.metrics.items():
            alone = replace(part, metrics={name: metric}, keys={name: part.keys[name]})
            seconds = timed(lambda alone=alone: means["one by one"].update(measured(folder, [alone], evaluator)), clock)
            full = f"{part.split}.{name}"
            naive = timed(lambda full=full, metric=metric: means["plainly"].update({full: plain.mean(metric)}), clock)  # noqa: B023
            row(f"{full}, one by one", seconds)
            row(f"{full}, one by one, plainly", naive)
            one_by_one, plainly = one_by_one + seconds, plainly + naive

    heading("Together, against")
    row("one by one", one_by_one)
    print(f"  {together / one_by_one:.3f} of it")
    row("one by one, plainly", plainly)
    verdict("of it", together / plainly, AT_MOST)
    for name, value in means["together"].items():
        others = [means[way][name] for way in ("one by one", "plainly")]
        differs = max(abs(value - other) for other in others)
        print(f"  {name}: {value:.6f}, the other ways within {differs:.1e}{'' if differs < AGREES else ' (!)'}")


def measured(folder: Path, parts: Sequence[evaluating.Part], evaluator: evaluating.Evaluator) -> Mapping[str, float]:
    """The figures of some parts, from an empty store."""
    from unlearnkit.progress import SILENT
    from unlearnkit.store import Store

    with tempfile.TemporaryDirectory(dir=folder) as own, Store.open(Path(own) / "own.db") as store:
        run = begun(store)
        for part in parts:
            evaluating.measure(store, run, part, lambda: evaluator, evaluator.batch_size, SILENT, keep_text=False)
        metrics = {(part.split, name): metric for part in parts for name, metric in part.metrics.items()}
        columns = evaluating.columns(store.results(run), metrics)
    return {f"{split}.{name}": column.mean for (split, name), column in columns.items()}


def begun(store: Any) -> str:
    from unlearnkit.store import new_id, records

    draft = records.Run(
        id=new_id(), kind="eval", identity="benchmark", state="created", method="tofu", model="", datasets={},
        config={}, environment={}, argv=(), parent=None,
    )  # fmt: skip
    return str(store.begin(draft)[0].id)


@contextmanager
def parts_of(clock: Clock) -> Iterator[dict[str, float]]:
    """Where the time goes in here."""
    spent = {"texts": 0.0, "of which beginnings": 0.0, "generation": 0.0}

    def within(what: str, work: Any) -> Any:
        def timing(*args: Any, **more: Any) -> Any:
            began = clock()
            try:
                return work(*args, **more)
            finally:
                spent[what] += clock() - began

        return timing

    with (
        mock.patch.object(texts.Reader, "read", within("texts", texts.Reader.read)),
        mock.patch.object(texts, "keys_and_values", within("of which beginnings", texts.keys_and_values)),
        mock.patch.object(evaluating.Evaluator, "generate", within("generation", evaluating.Evaluator.generate)),
    ):
        yield spent


def warm(evaluator: evaluating.Evaluator, parts: Sequence[evaluating.Part]) -> None:
    """Imports, first touches of memory, and the trial whether texts may share a beginning."""
    for part in parts:
        needs = {need for metric in part.metrics.values() for need in metric.needs}
        probe = evaluator.probe(part.samples[:2], needs, part.template, max_new_tokens=2)
        for metric in part.metrics.values():
            metric.measure(probe)


class Plainly:
    """Each metric by itself, with nothing shared and nothing left out."""

    def __init__(self, evaluator: evaluating.Evaluator, part: evaluating.Part, batch_size: int) -> None:
        self.model, self.tokenizer = evaluator.model, evaluator.tokenizer
        self.part, self.batch_size = part, batch_size
        self.pad = pad_id(self.tokenizer)

    def mean(self, metric: Metric) -> float:
        samples = self.part.samples
        needs = set(metric.needs)

        def told(texts: Sequence[Sequence[str]]) -> list[list[TokenScores]]:
            pairs = [(s, t) for s, own in zip(samples, texts, strict=True) for t in own]
            flat = iter(self.scores(pairs, "vocabulary" in needs))
            return [[next(flat) for _ in own] for own in texts]

        probe = Probe(
            samples,
            answer=[one for (one,) in told([[s.answer] for s in samples])] if "answer" in needs else None,
            paraphrases=told([s.paraphrases for s in samples]) if "paraphrases" in needs else None,
            wrong=told([s.wrong for s in samples]) if "wrong" in needs else None,
            generation=self.said() if "generation" in needs else None,
        )
        rows = evaluating.measured("", metric, self.part.split, probe)
        columns = evaluating.columns(rows, {(self.part.split, ""): metric})
        return columns[self.part.split, ""].mean

    def encoded(self, pairs: Sequence[tuple[Sample, str]]) -> Iterator[tuple[list[Encoded], list[int]]]:
        texts = encode(self.tokenizer, self.part.template, [(s.prompt, t) for s, t in pairs])
        for start in range(0, len(texts), self.batch_size):
            yield texts, list(range(start, min(start + self.batch_size, len(texts))))

    @torch.inference_mode()
    def scores(self, pairs: Sequence[tuple[Sample, str]], vocabulary: bool) -> list[TokenScores]:
        found = []
        for texts_, rows in self.encoded(pairs):
            batch = collate(texts_, rows, pad=self.pad)
            logits = self.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[:, :-1]
            labels = batch.labels[:, 1:]
            losses = cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none")
            hits = logits.argmax(-1) == labels
            entropy, spread = over_vocabulary(logits) if vocabulary else (None, None)
            for i, mask in enumerate(labels != -100):
                more = [] if entropy is None or spread is None else [entropy[i, mask].numpy(), spread[i, mask].numpy()]
                found.append(TokenScores(-losses[i, mask].double().numpy(), hits[i, mask].numpy(), *more))
        return found

    @torch.inference_mode()
    def said(self) -> list[str]:
        found: list[str] = []
        for texts_, rows in self.encoded([(s, s.answer) for s in self.part.samples]):
            ids, mask = prompts(texts_, rows, pad=self.pad, device="cpu")
            whole = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=self.part.max_new_tokens)
            found += self.tokenizer.batch_decode(whole[:, ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in found]


def over_vocabulary(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    return -mean, ((p * log_p.square()).sum(-1) - mean.square()).clamp_min(0).sqrt()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--suite", default="tofu")
    parser.add_argument("--holdout", default="tofu:retain99")
    parser.add_argument("--forget", default="tofu:forget01_perturbed")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
