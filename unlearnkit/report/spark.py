"""A curve in one line of text: ▁▂▃▄▅▆▇█, a blank where a value is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BARS = "▁▂▃▄▅▆▇█"
ASCII = dict(zip(BARS, "_.-:=+*#", strict=True))
"""What stands for each where there is ASCII alone."""
WIDTH = 24


def spark(values: Sequence[float | None], width: int = WIDTH) -> str:
    """Values from their lowest to their highest as bars, in order; of more than `width` a bar shows the mean of
    neighbours. None and what is not finite leave a gap, or its neighbours alone; equal values are low bars."""
    numbers = np.array([math.nan if value is None else value for value in values], dtype=float)
    numbers[~np.isfinite(numbers)] = math.nan
    numbers /= np.nanmax(np.abs(numbers), initial=0.0) or 1.0  # so that no sum is too large
    parts = np.array_split(numbers, min(width, len(numbers))) if len(numbers) else []
    means = [float(np.mean(there)) if len(there := part[~np.isnan(part)]) else None for part in parts]
    known = [mean for mean in means if mean is not None]
    if not known:
        return " " * len(means)
    low, high = min(known), max(known)
    step = (high - low) / len(BARS) or 1.0
    return "".join(" " if m is None else BARS[min(int((m - low) / step), len(BARS) - 1)] for m in means)
