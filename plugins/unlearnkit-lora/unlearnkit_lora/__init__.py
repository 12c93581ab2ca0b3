"""LoRA: `--adapter lora` trains a small addition to the weights, and `--model FOLDER` reads one that was kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnkit.hookspecs import hookimpl

unlearnkit_api = "1.0"


@hookimpl
def register_adapters() -> dict[str, str]:
    return {"lora": "unlearnkit_lora.adapter:LoRA"}


@hookimpl
def load_model(source: str, options: Mapping[str, Any]) -> str | None:
    """A model folder for the folder of an adapter, its base model and it as one."""
    from unlearnkit_lora.folder import is_adapter, merged

    folder = Path(source).expanduser()
    return str(merged(folder, options)) if is_adapter(folder) else None
