"""The model card that goes with every model written: what was done to it, on what, how training went, how to do it
again, and what the card does not show.

It may be published with the model, so it names files and folders without what leads to them, and quotes no sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import NotFound
from unlearnkit.runs.nlls import first_and_last
from unlearnkit.runs.public import command_of, on_hub, public
from unlearnkit.runs.scored import Scored, choose_scored
from unlearnkit.text import clean

if TYPE_CHECKING:
    from unlearnkit.runs.inputs import Inputs
    from unlearnkit.runs.workplace import Workplace
    from unlearnkit.store.records import Run

_MARKUP = re.compile(r"[\\`*\[\]<>&|]")

LIMITS = (
    "Approximate unlearning lowers what a model says of some samples. It does not prove that nothing of them is left, "
    "and it is no deletion of data. **What this card does not show**: what was forgotten, what came back under attack, "
    "and what else was lost. An evaluation says the first and the last, an attack the second."
)


def unlearning_card(place: Workplace, run: Run, inputs: Inputs, ending: Mapping[str, Any]) -> str:
    """Card of an unlearned model. `ending` says how its training ended."""
    intro = (
        f"{_cell(public(inputs.model.label, run))} after {_cell(run.method)} with the {_cell(run.config['sampler'])} "
        "sampler was applied to the forget set below."
    )
    chosen = {f"sampler {key}": value for key, value in run.config["request"]["sampler_options"].items()}
    options = {**run.config["options"], "sampler": run.config["sampler"], **chosen, **_addition(run, "wrapper"),
        **_addition(run, "adapter"),
    }  # fmt: skip
    kept = " --retain DATA" if "retain" in inputs.sets else ""
    return "\n".join(
        [
            *_head(place, "Unlearned model", ["unlearning", "unlearnkit"], intro, run, inputs),
            *_done(run, inputs, options, ending),
            *_difficulty(place, run, inputs),
            *_training(place, run, inputs, ending),
            "## Use and limits", "",
            "Made to study unlearning, or to be examined before anything relies on it.", "", LIMITS, "",
            "## To find out more", "", "With the store that the run is in:", "",
            "```sh",
            f"unlearnkit eval {run.id} --forget DATA{kept} --reference MODEL",
            f"unlearnkit attack relearn {run.id} --forget DATA --reference MODEL",
            f"unlearnkit certificate {run.id}",
            "```", "",
            "Elsewhere, the model's folder stands in the place of the run.", "",
        ]
    )  # fmt: skip


def finetuning_card(place: Workplace, run: Run, inputs: Inputs, ending: Mapping[str, Any]) -> str:
    """Card of a fine-tuned model."""
    intro = f"{_cell(public(inputs.model.label, run))} fine-tuned on the answers of the data below."
    return "\n".join(
        [
            *_head(place, "Fine-tuned model", ["unlearnkit"], intro, run, inputs),
            *_done(run, inputs, _addition(run, "adapter"), ending),
            *_training(place, run, inputs, ending),
            "## Use and limits", "",
            "Made to have something to forget, or a model to compare with that never saw what another is to forget. "
            "What it knows is for an evaluation to say.", "",
        ]
    )  # fmt: skip


def _head(place: Workplace, title: str, tags: list[str], intro: str, run: Run, inputs: Inputs) -> list[str]:
    from huggingface_hub import ModelCardData

    library = "transformers" if run.config.get("merged", True) else "peft"
    found = {repo for chosen in inputs.sets.values() if (repo := on_hub(chosen.label, run))}
    about = ModelCardData(
        library_name=library,
        pipeline_tag="text-generation",
        tags=tags,
        base_model=_base(place, run),
        datasets=sorted(found) or None,
    )
    return ["---", about.to_yaml().rstrip(), "---", f"# {title}", "", intro, ""]


def _base(place: Workplace, run: Run) -> str | None:
    """The model on the hub that all began with; None where it was a folder."""
    while (began := str(run.config["request"]["model"])).startswith("run:"):
        run = place.store.run(began.removeprefix("run:"))
    return on_hub(began, run)


def _done(run: Run, inputs: Inputs, options: Mapping[str, Any], ending: Mapping[str, Any]) -> list[str]:
    sets = [
        f"| {role} | {_cell(public(chosen.label, run))} | {len(chosen.samples)} | `{chosen.fingerprint}` |"
        for role, chosen in inputs.sets.items()
    ]
    settings = {**options, **run.config["plan"], **_end(ending), **_rendering(run, inputs)}
    command = command_of(run)
    return [
        "## What was done", "",
        f"- run: `{run.id}`",
        f"- started from: `{run.model}` ({_cell(inputs.model.architecture)})",
        f"- seed: {run.seed}",
        f"- environment: {_cell(', '.join(f'{k} {v}' for k, v in run.environment.items()))}",
        "",
        "| set | source | samples | SHA-256 of the samples |",
        "| --- | --- | --- | --- |",
        *sets,
        "",
        "| option | value |",
        "| --- | --- |",
        *[f"| {key} | {_cell(str(value))} |" for key, value in settings.items()],
        "",
        *(["Done again, to the same bits in the same environment, by", "", "```sh", command, "```", ""]
          if command else ["It was asked for from Python, with the options above.", ""]),
    ]  # fmt: skip


def _addition(run: Run, kind: str) -> dict[str, Any]:
    """The wrapper or the adapter, and its options, where there was one."""
    if kind not in run.config:
        return {}
    options = {f"{kind} {key}": value for key, value in run.config[f"{kind}_options"].items()}
    return {kind: run.config[kind], **options}


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


def _difficulty(place: Workplace, run: Run, inputs: Inputs) -> list[str]:
    """What the store has of the forget set's Memory Removal Difficulty under the model that it began with."""
    ids = [sample.id for sample in inputs.sets["forget"].samples]
    try:
        found = choose_scored(place, by="mrd", weights=run.model, data=ids)
    except NotFound:
        return []
    return ["## How hard it was to forget", "", _spread(found, ids), ""]


def _spread(found: Scored, ids: Sequence[str]) -> str:
    values = sorted(found.defined[sample] for sample in set(ids) & found.defined.keys())
    if not values:
        return f"None of the {len(set(ids))} samples has a value by {_cell(found.name)}."
    reliable = "unknown" if found.reliability is None else f"{found.reliability:.2f}"
    return (
        f"Memory Removal Difficulty ({found.source}) of {len(values)} of {len(set(ids))} samples, by "
        f"{_cell(found.name)}: {values[0]:.3g} to {values[-1]:.3g}, median {median(values):.3g}; the ranking's "
        f"reliability is {reliable}. A high value is claimed to be {found.high_means} to forget (run `{found.run.id}`)."
    )


def _training(place: Workplace, run: Run, inputs: Inputs, ending: Mapping[str, Any]) -> list[str]:
    """How training went, from the run's own steps up to the one whose weights these are."""
    steps = [row for row in place.store.steps(run.id) if row.step <= ending["step"]]
    rows = []
    if "forget" in inputs.sets:
        ids = {sample.id for sample in inputs.sets["forget"].samples}
        seen = [row for row in place.store.probes(run.id) if row.updates <= ending["step"]]
        if (nlls := first_and_last(seen, ids)) is not None:
            rows.append(("forget set's NLL, nats per label token", *nlls))
    if steps:
        shared = [name for name in steps[0].terms if name in steps[-1].terms and name not in ("lr", "epoch")]
        rows += [(f"{name}, as the loss counts it", steps[0].terms[name], steps[-1].terms[name]) for name in shared]
    if not rows:
        return []
    table = [f"| {_cell(name)} | {first:.4g} | {last:.4g} |" for name, first, last in rows]
    return ["## How training went", "", "| | first | last |", "| --- | --- | --- |", *table, ""]


def _cell(text: str) -> str:
    """Text as it is, in a table's cell or a line: no markup, no control characters."""
    return _MARKUP.sub(r"\\\g<0>", clean(text))
