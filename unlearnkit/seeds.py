"""All randomness is a function of (seed, purpose, position), so nothing random needs to be saved or resumed."""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, independent of every other purpose's."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def reseed(seed: int, *purpose: str | int) -> None:
    """Set torch's (all devices), numpy's and Python's generators for one step."""
    import numpy as np
    import torch

    value = derive(seed, *purpose)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)  # third-party code may draw from it
    random.seed(value)
