"""The model card that goes with every model written: what was done to it, on what, how, and how to do it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.runs.adapters import base_folder

if TYPE_CHECKING:
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.store.records import Run


def unlearning_card(run: Run, inputs: Inputs, ending: Mapping[str, Any]) -> str:
    """Card of an unlearned model. `ending` says how its training ended."""
    intro = (
        f"`{inputs.model.label}` after `{run.method}` with the `{run.config['sampler']}` sampler was applied to the "
        "forget set below. What was forgotten, and what else was lost, is for an evaluation to say."
    )
    chosen = {f"sampler {key}": value for key, value in run.config["request"]["sampler_options"].items()}
    options = {**run.config["options"], "sampler": run.config["sampler"], **chosen, **_addition(run, "wrapper"),
        **_addition(run, "adapter"),
    }  # fmt: skip
    return _card("Unlearned model", ["unlearning", "unlearnkit"], intro, run, inputs, options, ending)


def finetuning_card(run: Run, inputs: Inputs, ending: Mapping[str, Any]) -> str:
    """Card of a fine-tuned model."""
    intro = f"`{inputs.model.label}` fine-tuned on the answers of the data set below."
    return _card("Fine-tuned model", ["unlearnkit"], intro, run, inputs, _addition(run, "adapter"), ending)


def _addition(run: Run, kind: str) -> dict[str, Any]:
    """The wrapper or the adapter, and its options, where there was one."""
    if kind not in run.config:
        return {}
    options = {f"{kind} {key}": value for key, value in run.config[f"{kind}_options"].items()}
    return {kind: run.config[kind], **options}


def _library(run: Run, inputs: Inputs) -> list[str]:
    """What reads the folder, and for an addition that was written alone the model that it is read with."""
    if run.config.get("merged", True):
        return ["library_name: transformers"]
    return ["library_name: peft", f"base_model: {base_folder(inputs.model)}"]


def _card(
    title: str,
    tags: list[str],
    intro: str,
    run: Run,
    inputs: Inputs,
    options: Mapping[str, Any],
    ending: Mapping[str, Any],
) -> str:
    sets = [
        f"| {role} | {_cell(chosen.label)} | {len(chosen.samples)} | `{chosen.fingerprint}` |"
        for role, chosen in inputs.sets.items()
    ]
    settings = {**options, **run.config["plan"], **_end(ending), **_rendering(run, inputs)}
    return "\n".join(
        [
            "---",
            *_library(run, inputs),
            f"tags: {json.dumps(tags)}",
            "---",
            f"# {title}",
            "",
            intro,
            "",
            f"- run: `{run.id}`",
            f"- started from: `{run.model}` ({inputs.model.architecture})",
            f"- seed: {run.seed}",
            f"- environment: {', '.join(f'{k} {v}' for k, v in run.environment.items())}",
            "",
            "| set | source | samples | SHA-256 of the samples |",
            "| --- | --- | --- | --- |",
            *sets,
            "",
            "| option | value |",
            "| --- | --- |",
            *[f"| {key} | {_cell(str(value))} |" for key, value in settings.items()],
            "",
        ]
    )


def _end(ending: Mapping[str, Any]) -> dict[str, Any]:
    """The steps that were taken, what ended them, and which of them the weights are of where those are not the last."""
    best = {f"best {name}": f"{value:.6g}" for name, value in ending["best"].items()}
    chosen = {"weights after step": ending["step"], **best} if best or ending["step"] != ending["steps"] else {}
    return {"steps": ending["steps"], "ended by": ending["stopped_by"], **chosen}


def _rendering(run: Run, inputs: Inputs) -> dict[str, str]:
    """How samples were put to the model: the template, a file by its name, and its system turn where it has one."""
    template = inputs.template
    name = f"file {Path(run.config['request']['template']).name}" if template.kind == "file" else template.kind
    return {"template": name} | ({} if template.system is None else {"system prompt": template.system})


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
