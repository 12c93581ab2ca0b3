"""From a checked folder to a model and a tokenizer in memory.

transformers loads much that it should not: it fills a missing weight with random numbers and takes NaN as it
comes. So its own report must be empty and every weight is looked at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput, UnlearnkitError
from unlearnkit.models.check import check_token_ids

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from unlearnkit.models.source import ModelSource

DTYPES = ("float32", "bfloat16", "float16")
# Flags that transformers would otherwise take from the environment, or ask for at the terminal.
LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

log = logging.getLogger(__name__)


def load_model(src: ModelSource, *, dtype: str = "float32") -> PreTrainedModel:
    """The model in evaluation mode, on the GPU where there is one, in float32 unless asked otherwise.

    :raises BadInput: where `dtype` is none of `DTYPES`.
    :raises UnlearnkitError: `model-config` where transformers does not know its type or it describes a far
        larger model than is stored, `architecture` where it is no causal language model, `weights` where
        tensors are missing, unexpected or of a wrong shape, `weights-nan` where one holds NaN or infinity, or
        a matrix is all zero.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if dtype not in DTYPES:
        raise BadInput(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    config = _load_config(src)
    skeleton(src, config)
    with quiet():
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                src.folder,
                config=config,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                # Wrong shapes then stand in the report, all of them, instead of raising at the first.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **LOCAL_ONLY,
            )
        except Exception as error:
            raise UnlearnkitError(f"{src.folder} does not load: {first_line(error)}", code="weights") from error
    _check_complete(src, report)
    check_finite(model)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(src: ModelSource) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Where it has no pad token, the end token stands in: masks come from lengths, so
    padding is never seen.

    :raises UnlearnkitError: `model-config` where transformers does not know the model's type, `tokenizer`
        where it does not load, belongs to another model, or has neither pad nor end token.
    """
    from transformers import AutoTokenizer

    config = _load_config(src)
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(src.folder, config=config, **LOCAL_ONLY)
        except Exception as error:
            raise UnlearnkitError(
                f"the tokenizer in {src.folder} does not load: {first_line(error)}", code="tokenizer"
            ) from error
    check_token_ids(max(tokenizer.get_vocab().values()), src.vocab)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise UnlearnkitError(
                f"the tokenizer in {src.folder} has neither a pad nor an end token",
                hint='name an "eos_token" in its tokenizer_config.json',
                code="tokenizer",
            )
        tokenizer.pad_token = tokenizer.eos_token
        log.info("%s has no pad token; its end token pads", src.label)
    return tokenizer


def check_finite(model: nn.Module) -> None:
    """Look at every weight once. A zero vector can be meant (a fresh bias); a zero matrix is what an
    interrupted download leaves.

    :raises UnlearnkitError: `weights-nan`, with tensor and count.
    """
    for name, weight in model.named_parameters():
        bad = weight.numel() - int(weight.isfinite().sum())
        if bad:
            raise UnlearnkitError(f"{name} has {bad:,} values that are NaN or infinite", code="weights-nan")
        if weight.ndim > 1 and not weight.any():
            raise UnlearnkitError(f"{name}: all {weight.numel():,} values are zero", code="weights-nan")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars and warnings: what they would say is checked, and said once, here."""
    from transformers.utils import logging as chatter

    verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()


def _load_config(src: ModelSource) -> Any:
    from transformers import AutoConfig

    with quiet():
        try:
            return AutoConfig.from_pretrained(src.folder, **LOCAL_ONLY)
        except Exception as error:
            raise UnlearnkitError(
                f"transformers cannot use {src.folder / 'config.json'}: {first_line(error)}",
                hint="a newer transformers may know this model",
                code="model-config",
            ) from error


def skeleton(src: ModelSource, config: Any = None) -> PreTrainedModel:
    """The model without memory, on device "meta": to ask about its modules, and to count. A width or a number of
    experts out of all proportion would otherwise be allocated before the loader compares shapes.

    :raises UnlearnkitError: `model-config` or `architecture`, as `load_model`.
    """
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    config = config or _load_config(src)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnlearnkitError(f"needs a causal language model, this is {config.model_type}", code="architecture")
    with quiet():
        try:
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        except Exception as error:
            raise UnlearnkitError(
                f"{src.folder / 'config.json'} describes no model that can be built: {first_line(error)}",
                code="model-config",
            ) from error
    described = sum(parameter.numel() for parameter in model.parameters())
    if described > 2 * src.parameters:
        raise UnlearnkitError(
            f"{src.folder / 'config.json'} describes {described:,} parameters, the weights have {src.parameters:,}",
            code="model-config",
        )
    return model  # type: ignore[no-any-return]


def _check_complete(src: ModelSource, report: dict[str, Any]) -> None:
    for what in ("missing", "unexpected", "mismatched"):
        # A mismatch is reported with both shapes.
        names = sorted(str(key if isinstance(key, str) else key[0]) for key in report[f"{what}_keys"])
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise UnlearnkitError(
                f"{src.folder}: {what} weights: {', '.join(names[:5])}{more}",
                hint="config.json and the weights belong to different models, or the file is incomplete",
                code="weights",
            )
    if report.get("error_msgs"):
        raise UnlearnkitError(f"{src.folder} does not load: {report['error_msgs'][0]}", code="weights")


def first_line(error: Exception) -> str:
    """What an exception of another library says, for one line of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
