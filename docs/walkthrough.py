"""Makes docs/walkthrough.md: every command in it is run here, and every output is what it printed.

    python docs/walkthrough.py [WORK]

WORK keeps the models and the store between runs, so a second run only reads them. The real model comes from
`make real`, TOFU from the folder that UNLEARNKIT_TOFU_DIR names (or ../shared/tofu).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from unlearnkit.models.gguf import fetched

HERE = Path(__file__).parent
TOFU = Path(os.environ.get("UNLEARNKIT_TOFU_DIR", HERE.parent.parent / "shared" / "tofu")).resolve()
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
LEARN = "--epochs 6 --lr 2e-4 --schedule linear"
FORGET = "--forget tofu:forget01 --retain retain.jsonl --plugin npo --epochs 6 --lr 3e-5"
EVAL = "--forget tofu:forget01 --retain retain-24.jsonl --max-new-tokens 64"

INTRO = """\
# A real model, from start to end

SmolLM2-135M-Instruct learns TOFU's forget01 (40 questions about two authors who do not exist) and 120 pairs of
retain99; then it is made to forget the 40, with NPO, once with samples in random order and once drawn by their
difficulty. A second model learns the 120 pairs alone: it never saw what is to be forgotten, and is what the others are
held against.

Everything below was written by `docs/walkthrough.py`, which runs the commands and pastes what they print. `make real`
fetches the model; `UNLEARNKIT_TOFU_DIR` names the folder with TOFU's splits. `retain.jsonl` is the first 120 rows of
TOFU's `retain_perturbed` (all of them in retain99), `retain-24.jsonl` the first 24 of those.
"""

STEPS = [
    (
        "Teach it what it is to forget",
        [
            f"unlearnkit finetune --model gguf:{GGUF} --data tofu:forget01 --data retain.jsonl {LEARN} --out full",
            f"unlearnkit finetune --model gguf:{GGUF} --data retain.jsonl {LEARN} --out retain-only",
        ],
    ),
    ("How hard is each sample to forget?", ["unlearnkit score --model full --data tofu:forget01"]),
    (
        "Forget",
        [
            f"unlearnkit unlearn --model full {FORGET} --sampler uniform --out forgot-uniform",
            f"unlearnkit unlearn --model full {FORGET} --sampler mrd --out forgot-mrd",
        ],
    ),
    (
        "What do they know now?",
        [
            f"unlearnkit eval retain-only {EVAL}",
            f"unlearnkit eval full {EVAL} --reference RETAIN_ONLY",
            f"unlearnkit eval forgot-uniform {EVAL} --reference RETAIN_ONLY",
            f"unlearnkit eval forgot-mrd {EVAL} --reference RETAIN_ONLY",
        ],
    ),
    ("All of it together", ["unlearnkit report"]),
]


def main(work: Path) -> None:
    gguf = fetched()
    if gguf is None or not TOFU.is_dir():
        sys.exit("the walkthrough needs the real model (make real) and TOFU (UNLEARNKIT_TOFU_DIR)")
    prepare(work, gguf)
    parts, began = [INTRO], time.monotonic()
    reference = ""
    for title, commands in STEPS:
        parts.append(f"## {title}\n")
        for command in (text.replace("RETAIN_ONLY", reference) for text in commands):
            printed, seconds = run(command, work)
            parts.append(f"```console\n$ {command}\n{printed}```\n{took(seconds)}\n")
            if "eval retain-only" in command:
                reference = re.search(r"\(run (\w+)\)", printed).group(1)  # type: ignore[union-attr]
    notes = HERE / "walkthrough-notes.md"
    parts.append(notes.read_text(encoding="utf-8") if notes.is_file() else "")
    parts.append(f"The whole took {(time.monotonic() - began) / 60:.0f} minutes this time; {machine()}.\n")
    (HERE / "walkthrough.md").write_text("\n".join(parts), encoding="utf-8")


def prepare(work: Path, gguf: Path) -> None:
    """The model under a short name, and the retain sets."""
    work.mkdir(parents=True, exist_ok=True)
    for source in (gguf, gguf.with_name(gguf.name + ".fp32")):
        link = work / (GGUF + source.name.removeprefix(gguf.name))
        if source.exists() and not link.exists():
            link.symlink_to(source)
    rows = (TOFU / "retain_perturbed.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, n in (("retain.jsonl", 120), ("retain-24.jsonl", 24)):
        (work / name).write_text("".join(rows[:n]), encoding="utf-8")


def run(command: str, work: Path) -> tuple[str, float]:
    """What a command prints, and how long it takes. Lines of progress are left out."""
    environment = {**os.environ, "UNLEARNKIT_TOFU_DIR": str(TOFU), "COLUMNS": "80", "UNLEARNKIT_THREADS": "2"}
    words = [sys.executable, "-m", "unlearnkit", *shlex.split(command)[1:]]
    began = time.monotonic()
    done = subprocess.run(words, cwd=work, env=environment, text=True, capture_output=True, check=False)
    print(f"{command}: {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        sys.exit(done.stderr)
    talk = [line for line in done.stderr.splitlines(keepends=True) if not re.match(r"[\w ]+: \d+ of \d+, about", line)]
    printed = re.sub(r" +\n", "\n", done.stdout.lstrip("\n")) + "".join(talk)
    return printed.replace(f"{work.resolve()}/", ""), time.monotonic() - began  # a page names no machine's folders


def took(seconds: float) -> str:
    return f"(took {seconds:.0f} s)" if seconds < 100 else f"(took {seconds / 60:.1f} min)"


def machine() -> str:
    model = next(
        (s.split(":")[1].strip() for s in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in s), ""
    )
    versions = subprocess.run(
        [sys.executable, "-m", "unlearnkit", "doctor", "--format", "json"], text=True, capture_output=True, check=False
    )
    found = {check["what"]: check["found"] for check in json.loads(versions.stdout)["checks"]}
    return f"{os.cpu_count()} cores ({model}), torch {found['torch']}, transformers {found['transformers']}"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "walkthrough-work"))
