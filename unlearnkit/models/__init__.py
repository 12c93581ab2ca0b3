"""From what was typed for `--model` to weights in memory, and back to a folder.

Everything that can be wrong with a model is found in its files first: JSON and safetensors headers are read
by hand, within milliseconds and without torch (`source`, `check`, `weights`). Only a folder that passed is
loaded (`load`), and what is written appears whole or not at all (`save`). A model is known by its content
(`fingerprint`), never by its path.
"""

from unlearnkit.models.fingerprint import live_fingerprint, weights_fingerprint
from unlearnkit.models.load import load_model, load_tokenizer, skeleton
from unlearnkit.models.save import check_out, save_folder, save_model, try_out, write_beside
from unlearnkit.models.source import ModelSource, resolve

__all__ = [
    "ModelSource",
    "check_out",
    "live_fingerprint",
    "load_model",
    "load_tokenizer",
    "resolve",
    "save_folder",
    "save_model",
    "skeleton",
    "try_out",
    "weights_fingerprint",
    "write_beside",
]
