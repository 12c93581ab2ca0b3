"""From what a user names to what a use case works on, checked: model, data, template, token ids."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.contracts import Sample
from unlearnkit.data.encode import Encoded, Template, choose_template, cut, encode_samples, pad_id
from unlearnkit.data.layout import Layout
from unlearnkit.data.samples import DataSpec, SampleSet, bad_rows_error, raw_rows, samples_of
from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.models import ModelSource, load_tokenizer, resolve
from unlearnkit.runs.workplace import Workplace
from unlearnkit.store import records

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MODEL_KINDS = ("unlearn", "finetune")


def find_model(place: Workplace, source: str) -> ModelSource:
    """The model that was named: `run:ID`, a plugin's source, a folder, `gguf:FILE` or a hub name.

    Raises:
        NotFound, UnlearnkitError: codes of `models.resolve`, and `moved` where a run's folder is not there any more.
    """
    if source.startswith("run:"):
        return model_of_run(place, place.reading().run(source.removeprefix("run:"), MODEL_KINDS))
    settings = place.settings
    options: dict[str, Any] = {
        "allow_download": settings.allow_download and not place.dry,
        "cache_dir": settings.cache_dir,
        "write": not place.dry,
    }
    folder = place.plugins.hook.load_model(source=source, options=options)
    return replace(resolve(folder or source, **options), label=source)


def model_of_run(place: Workplace, run: records.Run) -> ModelSource:
    """The model that a run wrote, as it wrote it."""
    folder = run.summary.get("model_dir")
    if run.state != "complete" or not folder:
        raise UnlearnkitError(
            f"run {run.id} has no model: it is {run.status}",
            hint="unlearn again with a smaller --lr" if run.state == "diverged" else f"unlearnkit resume {run.id}",
            code="incomplete",
        )
    if not Path(folder).is_dir():
        raise NotFound(
            f"run {run.id} wrote its model to {folder}, which is gone",
            hint="give the folder itself",
            code="moved",
        )
    source = find_model(place, folder)
    if source.fingerprint != run.summary.get("model"):
        raise UnlearnkitError(
            f"{folder} does not hold the model that run {run.id} wrote",
            hint="give the folder itself to use it as it is now",
            code="changed",
        )
    return source


@dataclass(frozen=True)
class Inputs:
    """A model with its tokenizer and template, and any number of sets by role, encoded but for those that are read as
    texts alone. `templates` has those of sets that are put to the model in a way of their own."""

    model: ModelSource
    tokenizer: PreTrainedTokenizerFast
    template: Template
    sets: Mapping[str, SampleSet]
    encoded: Mapping[str, list[Encoded]]
    templates: Mapping[str, Template] = field(default_factory=dict)

    def template_of(self, role: str) -> Template:
        """How the samples of a set are put to the model."""
        return self.templates.get(role, self.template)

    @property
    def pad(self) -> int:
        return pad_id(self.tokenizer)

    def unique(self, *roles: str) -> Inputs:
        """The named sets alone, each of their samples once: nothing is computed twice for a text that stands twice."""
        sets = {role: self.sets[role].unique() for role in roles}
        encoded = {}
        for role, samples in sets.items():
            if role not in self.encoded:
                continue
            by_position = dict(zip((s.position for s in self.sets[role].samples), self.encoded[role], strict=True))
            encoded[role] = [by_position[s.position] for s in samples.samples]
        return replace(self, sets=sets, encoded=encoded)

    def record(self, place: Workplace) -> None:
        """Put model and data into the store; texts only where the user asked for it."""
        source = self.model
        place.store.put_model(records.Model(source.fingerprint, source.label, source.architecture, source.parameters))
        for role, chosen in self.sets.items():
            record_set(place, chosen, [e.tokens for e in self.encoded.get(role, ())])


def record_set(place: Workplace, chosen: SampleSet, tokens: Sequence[int] = ()) -> None:
    """Put a data set into the store, with each sample's label tokens where they are known; what is there of a set is
    not forgotten where they are not."""
    store = place.store
    if not tokens and store.dataset(chosen.fingerprint) is not None:
        return
    known: Sequence[int | None] = tokens or [None] * len(chosen.samples)
    rows = [_row(s, n, place.settings.store_text) for s, n in zip(chosen.samples, known, strict=True)]
    rows += [records.Row(position, None, status=reason) for position, reason in chosen.skipped.items()]
    store.put_dataset(
        records.Dataset(chosen.fingerprint, chosen.label, len(chosen.samples)),
        sorted(rows, key=lambda row: row.position),
    )


def _row(sample: Sample, tokens: int | None, with_text: bool) -> records.Row:
    texts = {"prompt": sample.prompt, "answer": sample.answer} if with_text and sample.answer else {}
    return records.Row(sample.position, sample.id, tokens, **texts)


def read_set(place: Workplace, spec: DataSpec, layout: Layout | None = None) -> SampleSet:
    """A data set, read and checked, its rows by a benchmark's layout where there is one; needs no model. Where
    the rows have not the layout's columns, that is said."""
    rows = read_raw(place, spec)
    found = samples_of(rows, spec, layout)
    if layout is not None and not spec.named and not layout.fits(rows):
        place.progress.warn(
            f"{found.label} has not all of the benchmark's columns {', '.join(layout.columns)}: "
            "its rows are asked as they are, without the benchmark's prompt"
        )
    return found


def read_raw(place: Workplace, spec: DataSpec) -> list[dict[str, Any]]:
    """The rows of a data set with all of their columns, unchecked."""
    return raw_rows(
        spec,
        tofu_dir=place.settings.tofu_dir,
        allow_download=place.settings.allow_download and not place.dry,
        external=lambda source, split: place.plugins.hook.load_dataset(source=source, split=split),
    )


def prepare(
    place: Workplace,
    source: ModelSource,
    specs: Mapping[str, DataSpec],
    sets: Mapping[str, SampleSet],
    *,
    template: str,
    system_prompt: str | None,
    as_texts: Collection[str] = (),
    templates: Mapping[str, str] | None = None,
    longest: Mapping[str, int] | None = None,
    others: bool = False,
) -> Inputs:
    """Tokenise the sets for a model, with every row checked against its template and context.

    Args:
        as_texts: roles of sets that no model will read: a document of a corpus may be longer than any context.
        templates: names of templates by role, of those sets that have one of their own.
        longest: tokens by role that answers are cut to; what is left is what is asked for, so another sample.
        others: whether paraphrases and wrong answers will be read too, and have to fit.

    Raises:
        UnlearnkitError: codes `no-target`, `too-long`, `template`, `tokenizer`, `empty`.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    place.check_store()
    tokenizer = load_tokenizer(source)
    has_chat = bool(tokenizer.chat_template)
    chosen = choose_template(template, system_prompt, has_chat=has_chat)
    own = {role: choose_template(name, None, has_chat=has_chat) for role, name in (templates or {}).items()}
    kept: dict[str, SampleSet] = {}
    encoded: dict[str, list[Encoded]] = {}
    for role, of in sets.items():
        most = (longest or {}).get(role)
        samples = of if most is None else of.answering(partial(cut, tokenizer, tokens=most))
        if role in as_texts:
            kept[role] = samples
            continue
        put = own.get(role, chosen)
        items, faults = encode_samples(tokenizer, put, samples.samples, context=source.context)
        if others:
            faults = _other_faults(tokenizer, put, samples.samples, source.context) | faults
        if faults and specs[role].on_bad_row == "fail":
            raise bad_rows_error(samples.label, faults)
        kept[role] = samples.without({p: code.replace("-", "_") for p, (code, _) in faults.items()})
        encoded[role] = [e for s, e in zip(samples.samples, items, strict=True) if s.position not in faults]
        if not encoded[role]:
            raise UnlearnkitError(f"{samples.label} has no usable rows", code="empty")
        if kept[role].skipped:
            place.progress.warn(f"{samples.label}: {len(kept[role].skipped)} bad rows left out")
        if samples.duplicates:
            place.progress.warn(f"{samples.label}: {samples.duplicates} rows repeat an earlier one")
    return Inputs(source, tokenizer, chosen, kept, encoded, own)


def _other_faults(
    tokenizer: PreTrainedTokenizerFast, template: Template, samples: Sequence[Sample], context: int | None
) -> dict[int, tuple[str, str]]:
    """The faults of samples whose paraphrases or wrong answers cannot be scored: {position: (code, text)}."""
    others = [replace(s, answer=text) for s in samples for text in (*s.paraphrases, *s.wrong)]
    _, faults = encode_samples(tokenizer, template, others, context=context)
    return {p: (code, f"another answer: {text}") for p, (code, text) in faults.items()}


def request(place: Workplace, **parts: Any) -> dict[str, Any]:
    """A use case's arguments as JSON, so that `resume` can make the same call again, from any folder and at any time.

    Settings that data are found by, or that say what is kept of them, stand under "settings"."""
    settings = {"tofu_dir": place.settings.tofu_dir, "store_text": place.settings.store_text or None}
    kept = {key: absolute(str(v)) if isinstance(v, Path) else v for key, v in settings.items() if v is not None}
    plain = {key: _plain(value) for key, value in parts.items() if value is not None}
    named = {"model": lasting(place, parts["model"])} if "model" in parts else {}
    return {**plain, **named, "settings": kept}


def lasting(place: Workplace, source: str) -> str:
    """A model's name that means the same tomorrow: "@last" and relative paths do not."""
    if source.startswith("run:"):
        return f"run:{place.reading().run(source.removeprefix('run:'), MODEL_KINDS).id}"
    return absolute(source)


def _plain(value: Any) -> Any:
    if isinstance(value, DataSpec):
        return asdict(replace(value, source=absolute(value.source)))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def absolute(source: str) -> str:
    """A source that is a path here as one from anywhere; other sources as they are."""
    scheme, name = ("gguf:", source.removeprefix("gguf:")) if source.startswith("gguf:") else ("", source)
    return scheme + str(Path(name).absolute()) if Path(name).exists() else source
