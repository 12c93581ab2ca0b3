"""Models that judge texts, from a folder that the user names: local files and safetensors alone, no code of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from unlearnkit.contracts import Direction, Metric, Need
from unlearnkit.errors import UnlearnkitError

Kind = Literal["AutoModel", "AutoModelForSequenceClassification"]
"""transformers' class for it: hidden states, or logits of labels."""


@dataclass(frozen=True)
class Judge:
    """A model with its tokenizer. It reads one text at a time: in a batch a value would depend on its neighbours."""

    model: Any
    tokenizer: Any

    def read(self, *texts: str) -> Any:
        """What the model says of one text, or of a pair of them, cut to what it takes."""
        import torch

        limit = min(self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", 1 << 20))
        tokens = self.tokenizer(*texts, truncation=True, max_length=limit, return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            return self.model(**tokens)


@dataclass(frozen=True)
class Judged(Metric):
    """A metric that asks a further model, `model`, about what was generated."""

    model: str
    """Folder of the model."""

    needs: ClassVar[tuple[Need, ...]] = ("generation",)
    direction: ClassVar[Direction] = "lower"

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The model's content.

        :raises UnlearnkitError: where there is none, or it is not safe to load.
        """
        from unlearnkit.models.check import read_folder
        from unlearnkit.models.fingerprint import folder_fingerprint

        folder = Path(self.model)
        return (folder_fingerprint(folder, *read_folder(folder)),)

    def judge(self, kind: Kind) -> Judge:
        """The model, loaded once.

        :raises UnlearnkitError: `weights` where it does not load or lacks some; what `reads` raises.
        """
        return _judge(self.model, kind, *self.reads)


@lru_cache(maxsize=2)
def _judge(folder: str, kind: Kind, content: str) -> Judge:
    """The model in a folder, in float32 and evaluation mode. `content`: what was found in its files, so that they were
    looked at, and are again where they changed."""
    import torch
    import transformers

    from unlearnkit.models.load import LOCAL_ONLY, check_finite, first_line, quiet

    del content
    with quiet():
        try:
            model, report = getattr(transformers, kind).from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **LOCAL_ONLY
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL_ONLY)
        except Exception as error:
            raise UnlearnkitError(f"{folder} does not load: {first_line(error)}", code="weights") from error
    # A pooler is a layer for sentences that many encoders are stored without; it is not read here.
    if missing := sorted(name for name in report["missing_keys"] if "pooler" not in name):
        raise UnlearnkitError(f"{folder}: missing weights: {', '.join(missing[:5])}", code="weights")
    check_finite(model)
    return Judge(model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)
