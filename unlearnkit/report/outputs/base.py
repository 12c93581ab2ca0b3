"""What models of the output share. A key that is not described is a mistake, and so is one that is missing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """An object within an output."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class Output(Part):
    """An output as a whole."""

    format: Literal[1]
    """version of this contract"""
