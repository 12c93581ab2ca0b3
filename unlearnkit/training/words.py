"""What training options may say; imports nothing heavy."""

from __future__ import annotations

import importlib.util
import os
from importlib import metadata

from unlearnkit.errors import BadInput

LOOKED_AT = 3
"""Steps after which a run that has changed nothing is told of."""
SCHEDULES = ("constant", "linear", "cosine")
FACTORS = {"adamw": 1.0, "adafactor": 15.0, "sgd": 300.0, "paged-adamw-8bit": 1.0}
"""Optimisers, with times the rate that suits AdamW which each takes where none is given: Adafactor's step is a share of
the weights' own size, and plain descent's is the gradient, clipped to norm 1 over all weights. docs/findings.md has
what was measured."""
OPTIMIZERS = tuple(FACTORS)
PRECISIONS = ("fp32", "mixed-bf16", "bf16")
"""Weights and arithmetic in float32; weights in float32 and arithmetic in bfloat16; both in bfloat16, with float32
copies in the optimiser."""


SHARINGS = ("ddp", "fsdp2")


def launched() -> int:
    """How many processes were launched to work together, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def sharing(asked: str | None) -> str | None:
    """How the launched processes share a model; None for one process alone.

    :raises BadInput: code `processes`, where a way to share was asked for and one process runs.
    """
    if launched() > 1:
        return asked or ("fsdp2" if os.environ.get("ACCELERATE_USE_FSDP") == "true" else "ddp")
    if asked is not None:
        raise BadInput(
            f"--parallel {asked}: only one process was launched",
            hint="torchrun --nproc-per-node 2 -m unlearnkit …; accelerate launch --cpu starts one whatever it is told",
            code="processes",
        )
    return None


def leads() -> bool:
    """Whether this process is the one that talks to the user and the store."""
    return int(os.environ.get("RANK", "0")) == 0


def fusing(asked: bool, *, cuda: bool) -> str | None:
    """What training's log-probabilities may come from without logits, with versions; None where that is not wanted, not
    installed, or does not run here: it needs a GPU, or Triton's interpreter, which is for tests."""
    return fused_packages() if asked and (cuda or os.environ.get("TRITON_INTERPRET") == "1") else None


def fused_packages() -> str | None:
    """The packages of the fused cross-entropy, with versions, where they are installed."""
    try:
        return ", ".join(f"{name} {metadata.version(name)}" for name in ("liger-kernel", "triton"))
    except metadata.PackageNotFoundError:
        return None


def check_optimizer(name: str) -> None:
    """See that an optimiser can be had.

    :raises BadInput: code `value` for an unknown name, `missing-package` where its package is not installed.
    """
    if name not in OPTIMIZERS:
        raise BadInput(f"--optimizer must be one of {', '.join(OPTIMIZERS)}, got {name}", code="value")
    if name == "paged-adamw-8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise BadInput(
            f"--optimizer {name} needs bitsandbytes", hint="pip install bitsandbytes", code="missing-package"
        )
