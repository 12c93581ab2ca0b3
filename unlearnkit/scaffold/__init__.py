"""A plugin's package to start from: an entry point, a class that works, and a test against its contract.

The templates lie beside this module, one for each kind of plugin, and one for a tracker, which has hooks alone.
"""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from unlearnkit.contracts import API_VERSION, KINDS
from unlearnkit.errors import BadInput
from unlearnkit.plugins import Plugins
from unlearnkit.plugins.hooks import SUITE

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_TEMPLATES = files(__name__) / "templates"

TRACKER = "tracker"
_FILES = {
    SUITE: {"$module/__init__.py": "suite.py.txt", "$module/suite.yaml": "suite.yaml.txt"},
    TRACKER: {"$module.py": "tracker.py.txt"},
}
"""What a package consists of, by templates, where it is not a module with a class."""


def kinds() -> list[str]:
    """Kinds of plugins that there is a template for."""
    return [*KINDS, SUITE, TRACKER]


def write(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a package that offers `name`, and return its files.

    Raises:
        BadInput: there is no template for the kind, the name cannot be one or is a built-in's, or the folder has
            something in it.
    """
    if kind not in kinds():
        raise BadInput(f'no template for kind "{kind}"', hint=f"there are: {', '.join(kinds())}")
    names = _names(kind, name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty", hint="name another folder; nothing is overwritten")
    test = f"{kind}_test.py.txt" if kind in _FILES else "test.py.txt"
    contents = {
        "pyproject.toml": "pyproject.toml.txt",
        **_FILES.get(kind, {"$module.py": f"{kind}.py.txt"}),
        "tests/test_$module.py": test,
    }
    written = []
    for target, template in contents.items():
        path = folder / Template(target).substitute(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(names), encoding="utf-8")
        written.append(path)
    return written


def _names(kind: str, name: str) -> dict[str, str]:
    """What a package's parts are called, from the name that users will type."""
    class_name = "".join(part.capitalize() for part in re.split("[_-]", name))
    if not _NAME.fullmatch(name) or keyword.iskeyword(class_name):
        raise BadInput(f'"{name}" cannot be a name', hint="lower-case words and digits joined by - or _")
    if kind != TRACKER and name in Plugins(entry_points=()).offers(kind):
        raise BadInput(f'{kind} "{name}" is built in', hint="two plugins of one name would exclude each other")
    return {
        "api": API_VERSION,
        "kind": kind,
        "kind_class": kind.capitalize(),
        "name": name,
        "class_name": class_name,
        "distribution": f"unlearnkit-{name}".replace("_", "-"),
        "module": f"unlearnkit_{name}".replace("-", "_"),
    }
