"""Logs in every form that is known, made from one another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

THEIRS = {
    "forget": "eval_log_forget.json",
    "retain": "eval_log.json",
    "real_authors": "eval_real_author_wo_options.json",
    "world_facts": "eval_real_world_wo_options.json",
}
PREFIX = {"forget": "forget", "retain": "retain", "real_authors": "ra", "world_facts": "wf"}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def first(log: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The first n rows of every split."""
    return {split: {name: column[:n] for name, column in of.items()} for split, of in log.items()}


def as_tofu_writes_it(log: Mapping[str, Any]) -> dict[str, Any]:
    """The same numbers as TOFU's `eval_log_aggregated.json`."""
    made = {}
    for split, of in log.items():
        columns = {name: {str(i): v for i, v in enumerate(column)} for name, column in of.items()}
        said = columns.pop("generations")
        columns["generated_text"] = {i: [r["question"], r["generated"], " " + r["answer"]] for i, r in said.items()}
        made[THEIRS[split]] = columns
    return made


def as_openunlearning_writes_it(log: Mapping[str, Any], *, texts: bool = True) -> dict[str, Any]:
    """The same numbers as `TOFU_EVAL.json`, the prompts in Llama 3's template without its special tokens."""
    made: dict[str, Any] = {}

    def metric(name: str, rows: Sequence[Any], figure: float) -> None:
        made[name] = {"agg_value": figure, "value_by_index": {str(i): row for i, row in enumerate(rows)}}

    for split, of in log.items():
        prefix, loss, wrong = PREFIX[split], np.array(of["avg_gt_loss"]), np.array(of["average_perturb_loss"])
        right = np.array(of["avg_paraphrased_loss"])
        p = np.exp(-loss)
        metric(f"{prefix}_Q_A_Prob", [{"prob": a, "avg_loss": b} for a, b in zip(p, loss, strict=True)], p.mean())
        metric(f"{prefix}_Q_A_PARA_Prob", [{"prob": np.exp(-x), "avg_loss": x} for x in right], np.exp(-right).mean())
        rows = [{"prob": np.exp(-x).tolist(), "avg_loss": x.tolist()} for x in wrong]
        metric(f"{prefix}_Q_A_PERT_Prob", rows, np.exp(-wrong).mean())
        ratio = np.exp(-wrong.mean(-1)) / (np.exp(-right) + 1e-10)
        figure = np.minimum(ratio, 1 / (ratio + 1e-10)) if split == "forget" else np.maximum(0, 1 - ratio)
        metric(f"{prefix}_Truth_Ratio", [{"score": x} for x in ratio], figure.mean())
        rows = [
            {"rougeL_recall": a, "rouge1_recall": b}
            for a, b in zip(of["rougeL_recall"], of["rouge1_recall"], strict=True)
        ]
        if texts:
            rows = [
                row | {
                    "input": f"system\n\nToday Date: 26 Jul 2024\n\nuser\n\n{bare(said['question'])}assistant\n\n",
                    "ground_truth": said["answer"], "generation": said["generated"],
                }
                for row, said in zip(rows, of["generations"], strict=True)
            ]  # fmt: skip
        metric(f"{prefix}_Q_A_ROUGE", rows, float(np.mean(of["rougeL_recall"])))
    made["model_utility"] = {"agg_value": 0.5}
    return made


def bare(question: str) -> str:
    """A question out of Llama 2's template."""
    return question.removeprefix("[INST] ").removesuffix(" [/INST]")


def document(at: int, acc: float, **more: Any) -> dict[str, Any]:
    """A row of lm-eval's sample log of a multiple-choice task."""
    return {
        "doc_id": at, "doc": {"question": f"Question {at}?", "choices": ["a", "b", f"c{at}", "d"], "answer": 2},
        "target": 2, "arguments": {
            f"gen_args_{i}": {"arg_0": f"Question: {at}?\nAnswer:", "arg_1": f" {x}"} for i, x in enumerate("ABCD")
        },
        "resps": [[["-1.5", "False"]]] * 4, "filtered_resps": [["-1.5", "False"]] * 4, "filter": "none",
        "metrics": ["acc", "acc_norm"], "doc_hash": "0", "prompt_hash": "1", "target_hash": "2", "acc": acc,
        "acc_norm": 1.0 - acc, **more,
    }  # fmt: skip
