"""The adapter: peft's LoRA layers in the place of a model's linear ones."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from unlearnkit.contracts import Adapter
from unlearnkit.errors import BadInput
from unlearnkit.losses import decoder_blocks
from unlearnkit.options import option

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import nn

RECORD = "base.json"
"""Beside what peft writes: the folder of the base model, and its fingerprint."""


@dataclass(frozen=True)
class LoRA(Adapter):
    """Low-rank adaptation: W + (alpha / rank) B A in the place of W, where A and B alone are trained.

    A [rank, in] begins at random and B [out, rank] at zero, so training begins at the model as it is (arXiv
    2106.09685, equation 3). Linear layers of the decoder blocks get one each, never the embeddings or the head, and
    only those whose weight the algorithm would train: with rmu, the three matrices that it steers by.

    Ten times the learning rate of full training suits it (Schulman et al., LoRA Without Regret, 2025), so an
    algorithm's own rate is taken tenfold.
    """

    source = "arXiv 2106.09685"
    rate = 10.0
    packages: ClassVar[tuple[str, ...]] = ("peft",)

    rank: int = option(8, "rows of A and columns of B", ge=1)
    alpha: float = option(16.0, "the addition is scaled by alpha / rank", gt=0)
    dropout: float = option(0.0, "share of a layer's inputs that A does not see in training", ge=0, lt=1)
    targets: Literal["all"] | tuple[str, ...] = option(
        "all", "layers by the last parts of their names, such as q_proj,v_proj; all: every linear layer of a block"
    )
    merge: bool = option(True, "write a plain model; false: the adapter alone, which needs its base model to be read")

    def wrap(self, model: nn.Module, trained: Collection[str], seed: int) -> None:
        import torch
        from peft import LoraConfig
        from transformers.pytorch_utils import Conv1D

        layers = self._layers(model, trained)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(layers),
            fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.add_adapter(config)

    def folded(self, model: nn.Module) -> AbstractContextManager[None]:
        return folded(model)

    def keep(self, model: nn.Module, folder: Path, *, base: Path, fingerprint: str) -> None:
        model.peft_config["default"].base_model_name_or_path = str(base)
        model.save_pretrained(folder)
        (folder / RECORD).write_text(json.dumps({"folder": str(base), "fingerprint": fingerprint}, indent=2) + "\n")

    def _layers(self, model: nn.Module, trained: Collection[str]) -> dict[str, nn.Module]:
        """The layers that are added to, by name."""
        linear = _linear(model)
        for target in () if self.targets == "all" else self.targets:
            if not any(_named(name, target) for name in linear):
                raise _no_such(target, linear)
        chosen = {
            name: layer
            for name, layer in linear.items()
            if self.targets == "all" or any(_named(name, target) for target in self.targets)
        }
        found = {name: layer for name, layer in chosen.items() if f"{name}.weight" in trained}
        if not found:
            meant = "the decoder blocks" if self.targets == "all" else ", ".join(self.targets)
            raise BadInput(
                f"the algorithm trains no linear layer among {meant}: there is nothing to add to",
                hint="other -a targets, or other parameters of the algorithm",
                code="option",
            )
        return found


@contextmanager
def folded(model: nn.Module) -> Iterator[None]:
    """A model without the LoRA layers in it, as if their additions had always been part of its weights."""
    model_: Any = model
    marked, layers = model_._hf_peft_config_loaded, additions(model)
    try:
        for name, layer in layers.items():
            model.set_submodule(name, _plain(layer))
        model_._hf_peft_config_loaded = False
        yield
    finally:
        model_._hf_peft_config_loaded = marked
        for name, layer in layers.items():
            model.set_submodule(name, layer)


def additions(model: nn.Module) -> dict[str, Any]:
    """A model's LoRA layers, by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}


def _plain(layer: Any) -> nn.Module:
    """A layer with its addition folded in, which it shares nothing with. In float64, so that every machine comes to the
    same bits: the fingerprint of a merged model should not depend on where it was merged."""
    dtype = layer.get_base_layer().weight.dtype
    made = copy.deepcopy(layer).double()
    made.merge(safe_merge=True)
    plain: nn.Module = made.get_base_layer()
    return plain.to(dtype)


def _linear(model: nn.Module) -> dict[str, nn.Module]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    inside = set(decoder_blocks(model).modules())
    return {
        name: module
        for name, module in model.named_modules()
        if module in inside and isinstance(module, nn.Linear | Conv1D)
    }


def _named(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _no_such(target: str, linear: Collection[str]) -> BadInput:
    known = list(dict.fromkeys(name.rpartition(".")[2] for name in linear))
    meant = difflib.get_close_matches(target, known, n=1)
    return BadInput(
        f'-a targets: this model\'s decoder blocks have no linear layer "{target}"',
        hint=f'did you mean "{meant[0]}"?' if meant else f"there are: {', '.join(known)}",
        code="option",
    )
