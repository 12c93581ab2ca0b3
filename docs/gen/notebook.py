"""A hook of mkdocs: a notebook in docs/ is a page too, with what its cells showed when it was run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

SHOWN = ("image/svg+xml", "text/html", "text/plain")
"""Of an output's forms, the first that is there."""


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook, beside the notebook itself, which can be downloaded."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        cells = json.loads(Path(file.abs_src_path or "").read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join(part for cell in cells for part in _parts(cell))
        files.append(File.generated(config, str(PurePosixPath(file.src_uri).with_suffix(".md")), content=text))
    return files


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        forms = output.get("data", {"text/plain": output.get("text", "")})
        form = next(form for form in SHOWN if form in forms)
        shown = "".join(forms[form])
        yield f"```text\n{shown}\n```" if form == "text/plain" else f"<div>{shown}</div>"
