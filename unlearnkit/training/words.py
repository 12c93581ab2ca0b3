"""What training options may say; imports nothing heavy."""

from __future__ import annotations

import importlib.util

from unlearnkit.errors import BadInput

LOOKED_AT = 3
"""Steps after which a run that has changed nothing is told of."""
SCHEDULES = ("constant", "linear", "cosine")
OPTIMIZERS = ("adamw", "adafactor", "sgd", "paged-adamw-8bit")
PRECISIONS = ("fp32", "mixed-bf16", "bf16")
"""Weights and arithmetic in float32; weights in float32 and arithmetic in bfloat16; both in bfloat16, with float32
copies in the optimiser."""


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
