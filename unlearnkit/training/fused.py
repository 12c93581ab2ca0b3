"""How a pass's label tokens are read: by way of their logits, or straight from the hidden states below the head by a
fused cross-entropy, which never holds all n × V logits.

A model's own forward pass may do more to its logits than its head does: cap them (Gemma 2), scale them (Cohere,
Granite), cut padding off. So whether the fused one is used is decided by trying it on the model. Its numbers agree with
the logits' own to rounding, not to the bit, so it is part of the environment that a run is identified by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

from unlearnkit.contracts import Batch, LabelLogits
from unlearnkit.errors import UnlearnkitError
from unlearnkit.losses import computing, label_logits, label_states, token_logprobs

if TYPE_CHECKING:
    from torch import Tensor, nn

FAR = 100.0
"""Logits that a model's caps and scales are looked for with: beyond what any model caps at."""
AGREES = 1e-3
"""Difference from the logits' own that is taken for rounding in float32: nats, and a share of a gradient's norm."""

Kernel = Callable[["Tensor", "Tensor", "Tensor | None", "Tensor"], "Tensor"]
"""Log-probabilities [n] in nats from hidden states [n, H], a head's weight [V, H] and bias [V] or None, and targets
[n]; with a gradient by the first three."""


@dataclass(frozen=True)
class Looked:
    """What a pass says of n label tokens, worked out when it is asked for. The model then has to be as in the pass."""

    logits: Callable[[], Tensor]
    """[n, V], float32 or better."""
    logprobs: Callable[[], Tensor]
    """[n], nats."""


Look = Callable[["nn.Module", Batch], Looked]


def plainly(model: nn.Module, batch: Batch) -> Looked:
    """Both from the logits that the pass ends with."""
    found = label_logits(model, batch)
    return Looked(lambda: found.values, lambda: token_logprobs(found))


@dataclass(frozen=True)
class Fused:
    """A pass that ends below the head: log-probabilities by the kernel, logits by the head where they are asked for."""

    kernel: Kernel

    def __call__(self, model: nn.Module, batch: Batch) -> Looked:
        head = plain_head(model)
        assert head is not None, "it was tried on this model"
        states = label_states(model, head, batch).to(head.weight.dtype)
        targets = batch.labels[:, 1:][batch.labels[:, 1:] != -100]

        def logits() -> Tensor:
            found: Tensor = head(states)
            return found.to(torch.promote_types(found.dtype, torch.float32))

        def logprobs() -> Tensor:
            found: Any = self.kernel(states, head.weight, head.bias, targets)
            if found.requires_grad:
                found.register_hook(_only_once)
            return found  # type: ignore[no-any-return]

        return Looked(logits, logprobs)


def tried(model: nn.Module, kernel: Kernel, trial: Batch) -> Fused | None:
    """The fused reading of a model; None where the model's logits are not its head's output alone, or the kernel's
    log-probabilities or gradients on the trial batch are not those of the logits.

    :raises UnlearnkitError: code "fused", where the kernel does not run here.
    """
    head = plain_head(model)
    if head is None:
        return None
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            if not _bare(model, head, trial):
                return None
            plain, states = label_logits(model, trial), label_states(model, head, trial).to(head.weight.dtype)
    finally:
        model.train(training)
    return Fused(kernel) if _agrees(kernel, head, states, plain) else None


def liger() -> Kernel:
    """liger-kernel's fused linear cross-entropy (arXiv 2410.10989). It goes over the tokens in chunks, and once more on
    the way back with each token's own gradient. cut-cross-entropy's has no bias, takes no float32 and adds gradients up
    in no fixed order."""
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

    def logprobs(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        nll: Tensor = liger_fused_linear_cross_entropy(
            states, weight, targets, bias=bias, reduction="none", accum_dtype=torch.float32
        )
        return -nll

    return logprobs


def plain_head(model: Any) -> nn.Linear | None:
    """The model's head, where it is a linear layer that nothing has been put around or into."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if type(head) is not torch.nn.Linear or head._forward_hooks or head._forward_pre_hooks or "forward" in vars(head):
        return None
    return head


def _bare(model: nn.Module, head: nn.Linear, trial: Batch) -> bool:
    """Whether the model hands its head's output on as it is, whatever that is."""
    known = torch.linspace(-FAR, FAR, head.out_features, dtype=head.weight.dtype, device=head.weight.device)
    with computing(head, lambda states: known.expand(*states.shape[:-1], -1)):
        found = label_logits(model, trial).values
    return found.shape[1:] == known.shape and torch.equal(found, known.to(found.dtype).expand_as(found))


def _agrees(kernel: Kernel, head: nn.Linear, states: Tensor, plain: LabelLogits) -> bool:
    """Whether a kernel's log-probabilities are those of the model's logits, as precise, and its gradients those of the
    head's."""
    leaves = [t.detach().requires_grad_() for t in (states, head.weight, head.bias) if t is not None]
    bias = leaves[2] if head.bias is not None else None
    logits = F.linear(leaves[0], leaves[1], bias)
    own = -F.cross_entropy(logits.to(plain.values.dtype), plain.targets, reduction="none")
    # Every token's gradient is another, one of them is 0 and one has the other sign, as methods' may be.
    upstream = torch.arange(len(own), device=own.device) - 1.0
    try:
        fused = kernel(leaves[0], leaves[1], bias, plain.targets)
        gradients = torch.autograd.grad(fused, leaves, upstream.to(fused.dtype))
    except Exception as error:
        raise UnlearnkitError(
            f"the fused cross-entropy does not run here: {type(error).__name__}: {error}",
            hint="UNLEARNKIT_FUSED=false trains without it",
            code="fused",
        ) from error
    if fused.dtype != own.dtype:
        return False
    # A logit is off by as much as its own arithmetic rounds it, a gradient by a few such steps.
    rounding = torch.finfo(logits.dtype).eps
    nats, share = max(AGREES, 2 * rounding * float(plain.values.abs().max())), max(AGREES, 8 * rounding)
    expected = torch.autograd.grad(own, leaves, upstream)
    same = torch.allclose(fused, token_logprobs(plain), rtol=AGREES, atol=nats)
    return same and all(_off(one, other) <= share for one, other in zip(gradients, expected, strict=True))


def _off(found: Tensor, expected: Tensor) -> float:
    """Distance between two tensors as a share of the second's norm."""
    norm, distance = float(expected.norm()), float((found - expected).norm())
    return distance / norm if norm else distance


def _only_once(gradient: Tensor) -> None:
    """A kernel's gradient has none itself, and what lacks it would come out wrong without a word."""
    del gradient
    if torch.is_grad_enabled():
        raise UnlearnkitError(
            "the fused cross-entropy has no second derivative", hint="UNLEARNKIT_FUSED=false", code="fused"
        )
