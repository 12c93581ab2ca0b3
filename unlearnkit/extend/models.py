"""For model folders: read, check, load and write them as the kit does, and know them by their content."""

from __future__ import annotations

from unlearnkit.models import ModelSource, load_model, load_tokenizer, resolve, save_model, weights_fingerprint
from unlearnkit.models.fingerprint import file_digest, tokenizer_files
from unlearnkit.models.jsonfile import read_object
from unlearnkit.models.load import LOCAL_ONLY, first_line, quiet
from unlearnkit.models.weights import read_header

__all__ = [
    "LOCAL_ONLY",
    "ModelSource",
    "file_digest",
    "first_line",
    "load_model",
    "load_tokenizer",
    "quiet",
    "read_header",
    "read_object",
    "resolve",
    "save_model",
    "tokenizer_files",
    "weights_fingerprint",
]
