"""The fast tests with the oldest, and with the newest, versions of all that pyproject.toml allows.

    python tests/matrix.py [--only oldest|newest] [-- PYTEST ARGUMENT …]

Each goes into an environment of its own in build/matrix. *Oldest* is the lower bound of every direct dependency,
*newest* whatever the index has. torch is the one of constraints.txt in both: it is large, and its versions are not
tried here.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "matrix"
EXTRAS = ("test", "text")
FAST = ("-m", "not real and not slow", "-n", "2", "-q")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("oldest", "newest"))
    parser.add_argument("pytest", nargs="*", help="which tests; default: the fast ones")
    asked = parser.parse_args()
    failed = [name for name in ("oldest", "newest") if asked.only in (None, name) and not tried(name, asked.pytest)]
    sys.exit(f"failed with the {' and the '.join(failed)} versions" if failed else 0)


def tried(name: str, tests: list[str]) -> bool:
    """Whether the tests pass with those versions."""
    WORK.mkdir(parents=True, exist_ok=True)
    bounds = WORK / f"{name}.txt"
    bounds.write_text("".join(f"{line}\n" for line in [torch(), *(lowest() if name == "oldest" else ())]))
    python = WORK / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / name], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--upgrade", "-c", bounds]
    subprocess.run([*pip, "-e", f"{ROOT}[{','.join(EXTRAS)}]"], check=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return (
        subprocess.run([python, "-m", "pytest", *FAST, *tests], cwd=ROOT, env=environment, check=False).returncode == 0
    )


def torch() -> str:
    """The line of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def lowest() -> list[str]:
    """Every direct dependency but torch at the version that it is allowed from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [need for extra in EXTRAS for need in project["optional-dependencies"][extra]]
    found = (re.match(r"([\w.-]+)>=([\w.]+)(.*)", need) for need in wanted)
    return [
        f"{name}=={version}{marker}" for name, version, marker in (f.groups() for f in found if f) if name != "torch"
    ]


if __name__ == "__main__":
    main()
