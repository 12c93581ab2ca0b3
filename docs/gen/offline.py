"""A hook of mkdocs: no page of the site loads anything from elsewhere."""

from __future__ import annotations

import logging
import re
from typing import Any

LOADS = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)|"
                   r"<link\b(?![^>]*canonical)[^>]*\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)")  # fmt: skip

_logger = logging.getLogger("mkdocs.hooks.offline")


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Warn of what a page would fetch, which ends a strict build."""
    del config
    for found in LOADS.finditer(output):
        _logger.warning("%s loads %s", page.file.src_uri, found[1] or found[2])
    return output
