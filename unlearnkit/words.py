"""Words and runs of words, for measures that read texts; and the packages that know more of words than we do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from unlearnkit.contracts import Sample
from unlearnkit.errors import UnlearnkitError

_WORD = re.compile(r"\w+(?:['’]\w+)*")

Gram = tuple[str, ...]


def words(text: str) -> list[str]:
    """Runs of letters, digits and inner apostrophes, without case. Scripts without spaces have one word a run."""
    return _WORD.findall(text.casefold())


def ngrams(text: str, n: int) -> Iterator[Gram]:
    """All runs of n words of a text, in their order, repeats included."""
    found = words(text)
    return zip(*(found[i:] for i in range(n)), strict=False)


def ngrams_of(samples: Iterable[Sample], n: int) -> Iterator[Gram]:
    """The n-grams of the samples' prompts and answers; none runs from one text into another."""
    for sample in samples:
        yield from ngrams(sample.prompt, n)
        yield from ngrams(sample.answer, n)


def text_package(name: str) -> Any:
    """A package of the extra `text`.

    Raises:
        UnlearnkitError: code "missing-package", where it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnlearnkitError(
            f"the package {name} is not installed", hint="pip install unlearnkit[text]", code="missing-package"
        ) from error
