"""Log-probabilities of label tokens: the one forward pass that scoring, training and evaluation share.

The head of a language model is as wide as its vocabulary, so logits are asked for where a label is predicted and
nowhere else. Labels come from the batch (which has them from lengths and templates), are shifted here, and nowhere
else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from unlearnkit.contracts import Batch, LabelLogits, LabelScores
from unlearnkit.errors import UnlearnkitError
from unlearnkit.past import with_past

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import DynamicCache

ROWS = {"cpu": 4}
"""Label tokens whose logits are held in float64 at a time, by device: few enough to stay in a processor's cache."""
MANY = 1024
"""The same where it is not caches that count."""


def label_scores(
    model: nn.Module, batch: Batch, *, precise: bool = False, correct: bool = False, past: DynamicCache | None = None
) -> LabelScores:
    """Log p(x_t | x_<t) of every label token, with a gradient where autograd is on.

    Args:
        model: a causal language model of transformers.
        batch: [B, T] ids, mask, labels.
        precise: return float64, computed so that a nearly certain token keeps its relative accuracy, where
            log-softmax rounds to 0. For measuring, not for training.
        correct: also say where the label is the most likely token; costs a pass over the logits.
        past: keys and values of the batch's first tokens, [B, …], which are then not run again. No label stands
            among them or on the token after them. The pass adds to it.

    Returns:
        [B, K] scores over the K columns in which any sample has a label.
    """
    logits = label_logits(model, batch, past=past)
    hits = logits.values.argmax(-1) == logits.targets if correct else None
    return placed(token_logprobs(logits, precise=precise), batch, hits)


def label_logits(model: nn.Module, batch: Batch, *, past: DynamicCache | None = None) -> LabelLogits:
    """Logits from which the label tokens are predicted, float32 or better, with a gradient where autograd is on.

    Args: as `label_scores`.
    """
    labelled = batch.labels[:, 1:] != -100
    found = _label_logits(model, batch, labelled, past)
    values = found.to(torch.promote_types(found.dtype, torch.float32))
    return LabelLogits(values, batch.labels[:, 1:][labelled], labelled.nonzero()[:, 0], len(batch))


def label_states(model: nn.Module, head: nn.Module, batch: Batch) -> Tensor:
    """Hidden states [n, H] that the model's head would make the n label tokens' logits of, with a gradient where
    autograd is on. The head does not run; what the model does to its head's output is done to the states."""
    with computing(head, lambda states: states):
        return _label_logits(model, batch, batch.labels[:, 1:] != -100, None)


@contextmanager
def computing(module: nn.Module, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A module that computes something else."""
    vars(module)["forward"] = function
    try:
        yield
    finally:
        del vars(module)["forward"]


def token_logprobs(logits: LabelLogits, *, precise: bool = False) -> Tensor:
    """Log-probabilities of the label tokens, [n]; float64 where `precise`."""
    values, targets = logits.values, logits.targets
    return _precisely(values, targets) if precise else -F.cross_entropy(values, targets, reduction="none")


def placed(logprobs: Tensor, batch: Batch, correct: Tensor | None = None) -> LabelScores:
    """Log-probabilities [n] of a batch's label tokens, sample by sample, as its scores; and which are the most likely
    tokens, where that is known."""
    labelled = batch.labels[:, 1:] != -100
    mask = labelled[:, labelled.any(0)]
    scores = torch.zeros(mask.shape, dtype=logprobs.dtype, device=logprobs.device)
    scores[mask] = logprobs
    hits = mask.clone()
    if correct is not None:
        hits[mask] = correct
    return LabelScores(logprobs=scores, mask=mask, correct=hits)


def hidden_states(model: nn.Module, batch: Batch, layer: int) -> Tensor:
    """Hidden states [B, T, H] behind the first `layer` decoder blocks, with a gradient where autograd is on. The blocks
    above, and the head, do not run.

    :raises UnlearnkitError: code "layer", where the model has fewer blocks or none can be told.
    """
    blocks = decoder_blocks(model)
    if not 0 <= layer <= len(blocks):
        raise UnlearnkitError(f"the model has {len(blocks)} decoder blocks, not {layer}", code="layer")

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Found(args[0] if args else kwargs["hidden_states"])

    def behind(_module: nn.Module, _args: object, output: Any) -> None:
        raise _Found(output if isinstance(output, torch.Tensor) else output[0])

    hook = (
        blocks[layer - 1].register_forward_hook(behind)
        if layer
        else blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    )
    try:
        model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
    except _Found as found:
        return found.states
    finally:
        hook.remove()
    raise UnlearnkitError(f"{type(model).__name__} ran without its decoder blocks", code="layer")


def decoder_blocks(model: nn.Module) -> nn.ModuleList:
    """The model's decoder blocks, in order.

    :raises UnlearnkitError: code "layer", where none can be told.
    """
    config: Any = model.config
    n = config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == n:
            return module
    raise UnlearnkitError(f"{type(model).__name__} has no list of decoder blocks", code="layer")


class _Found(Exception):  # noqa: N818 - it ends a pass that has gone far enough
    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _precisely(logits: Tensor, targets: Tensor) -> Tensor:
    """log p_y = -log(1 + Σ_{j≠y} exp(z_j - z_y)) in float64, [n]; the 1 is added last, so nothing cancels."""
    found = []
    for start, values in in_float64(logits):
        labels = targets[start : start + len(values)].unsqueeze(-1)
        highest = values.detach().amax(-1, keepdim=True)
        own = logits[start : start + len(values)].gather(-1, labels).double()
        # The label's own part is left out of the sum before it could round the others away.
        rest = values.sub_(highest).scatter_(-1, labels, -torch.inf).exp_().sum(-1)
        others = rest.log() + (highest - own).squeeze(-1)
        found.append(-torch.logaddexp(torch.zeros_like(others), others))
    return torch.cat(found)


def in_float64(logits: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Some rows of [n, V] after the other, [m, V] each, in memory of their own, and where they start."""
    size = ROWS.get(logits.device.type, MANY)
    for start in range(0, max(len(logits), 1), size):
        yield start, logits[start : start + size].to(torch.float64, copy=True)


def _label_logits(model: nn.Module, batch: Batch, labelled: Tensor, past: DynamicCache | None) -> Tensor:
    """Logits [n, V] from which the n labels are predicted, sample by sample, with the model's own head and scaling."""
    inputs: dict[str, Any] = {"input_ids": batch.ids, "attention_mask": batch.mask, "use_cache": False}
    if past is not None:
        done = past.get_seq_length()
        labelled = labelled[:, done:]
        inputs |= {"input_ids": batch.ids[:, done:], "use_cache": True, **with_past(model, past)}
        if "position_ids" in inspect.signature(type(model).forward).parameters:
            # What is done may be padded on the left.
            inputs["position_ids"] = (batch.mask.cumsum(-1) - 1).clamp_min(0)[:, done:]
    return logits_at(model, F.pad(labelled, (0, 1)), inputs)


def logits_at(model: nn.Module, wanted: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """Logits [n, V] behind the n tokens that are `wanted`, [B, T], row by row, of a pass that takes `inputs`."""
    keeps = _keeps(type(model).forward)
    if keeps == "any":
        logits: Tensor = model(**inputs, logits_to_keep=wanted).logits
        return logits
    if keeps == "columns":
        columns = wanted.any(0).nonzero().squeeze(1)
        return model(**inputs, logits_to_keep=columns).logits[wanted[:, columns]]  # type: ignore[no-any-return]
    return model(**inputs).logits[wanted]  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def _keeps(forward: Callable[..., object]) -> str:
    """Which logits a model can be asked for: "any", the same "columns" of every sample, or "all"."""
    if "logits_to_keep" not in inspect.signature(forward).parameters:
        return "all"
    return "any" if "slice_logits_to_keep" in inspect.unwrap(forward).__code__.co_names else "columns"
