"""`analyze`: what difficulty predicts, what it is made of, and what it does to a comparison. From the store alone."""

from unlearnkit.runs.analyze.bias import bias
from unlearnkit.runs.analyze.difficulty import difficulty
from unlearnkit.runs.analyze.samples import samples

__all__ = ["bias", "difficulty", "samples"]
