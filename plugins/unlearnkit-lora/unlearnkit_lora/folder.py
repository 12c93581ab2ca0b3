"""The folder of a LoRA adapter as a model: merged with its base once, into a cache, and read from there ever after.

What lies in the cache is named by the content of base and adapter, so it is never out of date and may be deleted at any
time. Any LoRA adapter that peft wrote can be read, be it this kit's or not.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import NotFound, UnlearnkitError
from unlearnkit.extend.models import (
    LOCAL_ONLY,
    ModelSource,
    file_digest,
    first_line,
    load_model,
    load_tokenizer,
    quiet,
    read_header,
    read_object,
    resolve,
    save_model,
    tokenizer_files,
)
from unlearnkit_lora.adapter import RECORD, additions, folded

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder has an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").exists()


def merged(folder: Path, options: Mapping[str, Any]) -> Path:
    """The model that an adapter and its base are together, in a folder of the cache.

    Args:
        options: `allow_download` (bool) and `cache_dir` (a path, or None for the user's cache); where there is `write`
            (bool), whether it may be made where it is not there.

    Raises:
        UnlearnkitError: code `adapter`, where it is no LoRA adapter, its base is not here or another than it was made
            for, or the two do not fit; `dry-run`, where it is not there and may not be made; what `resolve` finds
            wrong with the base.
    """
    _check(folder)
    base = _base(folder, options)
    target = _cache(options) / _key(folder, base)
    if not target.is_dir():
        if not options.get("write", True):
            raise UnlearnkitError(
                f"adapter {folder} has not been merged yet, which writes into the cache: a dry run writes nothing",
                hint="any command that loads it does, such as score with -o draws=1",
                code="dry-run",
            )
        _merge(folder, base, target)
    return target


def _check(folder: Path) -> None:
    """Refuse what is no LoRA adapter in safetensors, or more than one."""
    config = read_object(folder / CONFIG, "adapter")
    if config.get("peft_type") != "LORA":
        raise UnlearnkitError(f"{folder} is an adapter of type {config.get('peft_type')}, not LORA", code="adapter")
    if more := [key for key in ("modules_to_save", "trainable_token_indices") if config.get(key)]:
        raise UnlearnkitError(f"{folder} holds more than LoRA's matrices: {', '.join(more)}", code="adapter")
    if not (folder / WEIGHTS).is_file():
        raise UnlearnkitError(f"no {WEIGHTS} in {folder}", code="adapter")
    read_header(folder / WEIGHTS)


def _base(folder: Path, options: Mapping[str, Any]) -> ModelSource:
    """The base model, seen to be the one that the adapter was made for where that is recorded."""
    record = read_object(folder / RECORD, "adapter") if (folder / RECORD).is_file() else {}
    named = str(record.get("folder") or read_object(folder / CONFIG, "adapter").get("base_model_name_or_path") or "")
    if not named:
        raise UnlearnkitError(f"{folder / CONFIG} names no base model", code="adapter")
    try:
        found = _resolved(named, options)
    except NotFound as error:
        raise UnlearnkitError(
            f"the base model of adapter {folder} is not here: {error.message}",
            hint=f"write where it lies into {folder / (RECORD if record else CONFIG)}",
            code="adapter",
        ) from error
    if record and record.get("fingerprint") != found.fingerprint:
        raise UnlearnkitError(
            f"adapter {folder} was made for another model than {named} holds now: {found.fingerprint[:12]}…, "
            f"was {str(record.get('fingerprint'))[:12]}…",
            hint="put the model back that it was made for",
            code="adapter",
        )
    return found


def _resolved(named: str, options: Mapping[str, Any]) -> ModelSource:
    folder = Path(named)
    if is_adapter(folder):
        below = options.get("below", ())
        if folder.resolve() in below:
            raise UnlearnkitError(f"{folder} is an adapter of itself, by way of its base", code="adapter")
        options = {**options, "below": (*below, folder.resolve())}
    source = str(merged(folder, options)) if is_adapter(folder) else named
    return resolve(
        source,
        allow_download=options["allow_download"],
        cache_dir=options["cache_dir"],
        write=options.get("write", True),
    )


def _cache(options: Mapping[str, Any]) -> Path:
    import platformdirs

    return Path(options["cache_dir"] or platformdirs.user_cache_dir("unlearnkit")) / "merged"


def _key(folder: Path, base: ModelSource) -> str:
    """A name for what adapter and base make together."""
    total = hashlib.sha256(base.fingerprint.encode())
    for path in (folder / CONFIG, folder / WEIGHTS, *tokenizer_files(folder)):
        total.update(f"{path.name} {file_digest(path)}\n".encode())
    return total.hexdigest()


def _merge(folder: Path, base: ModelSource, target: Path) -> None:
    from peft import PeftModel, get_peft_model_state_dict

    model = load_model(base)
    tied = _shared(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peft would warn of is looked at below
        try:
            both = PeftModel.from_pretrained(model, str(folder))
        except Exception as error:
            raise UnlearnkitError(
                f"adapter {folder} does not load over its base model: {first_line(error)}", code="adapter"
            ) from error
        wanted = get_peft_model_state_dict(both, save_embedding_layers=False).keys()
    if differing := sorted({tensor.name for tensor in read_header(folder / WEIGHTS)} ^ wanted):
        raise UnlearnkitError(
            f"adapter {folder} and its base model do not fit: only one of them has {differing[0]}",
            code="adapter",
        )
    if any(layer.get_base_layer().weight is tied for layer in additions(model).values()):
        raise UnlearnkitError(
            f"adapter {folder} adds to one of embeddings and head, which are one matrix in its base model",
            code="adapter",
        )
    with folded(model):
        card = f"`{base.label}` with the LoRA adapter `{folder.resolve()}` folded in.\n"
        save_model(model, _tokenizer(folder, base), target, card=card, force=True)


def _shared(model: nn.Module) -> nn.Parameter | None:
    """The matrix that is embeddings and head at once, where there is one."""
    model_: Any = model
    head, embeddings = model_.get_output_embeddings(), model_.get_input_embeddings()
    return head.weight if head is not None and head.weight is embeddings.weight else None


def _tokenizer(folder: Path, base: ModelSource) -> PreTrainedTokenizerBase:
    """The adapter's own tokenizer, where it has one."""
    if not tokenizer_files(folder):
        return load_tokenizer(base)
    from transformers import AutoConfig, AutoTokenizer

    with quiet():
        config = AutoConfig.from_pretrained(base.folder, **LOCAL_ONLY)
        try:
            return AutoTokenizer.from_pretrained(folder, config=config, **LOCAL_ONLY)
        except Exception as error:
            raise UnlearnkitError(
                f"the tokenizer in {folder} does not load: {first_line(error)}", code="tokenizer"
            ) from error
