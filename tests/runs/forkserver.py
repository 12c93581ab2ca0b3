"""The command line in processes that start at once: torch is imported here, and every command is a fork of this.

Run as a program. Reads one JSON request a line and answers each with one: {"start": {args, cwd, env, out}} → {"pid"};
{"wait": pid} → {"code"}, negative for a signal. It does no computing of its own, so that a child finds torch as a fresh
process would.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

HEAVY = (
    "accelerate",
    "alembic.command",
    "pydantic.type_adapter",
    "rich.progress",
    "rich.table",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "unlearnkit.cli.main",
    "unlearnkit.report.tables",
    "unlearnkit.runs.resume",
    "unlearnkit.training.loop",
)


def main() -> None:
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    for name in HEAVY:
        importlib.import_module(name)
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("llama")  # half a second of regular expressions that every first load compiles
    answer = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            found: dict[str, Any] = {"pid": os.fork()}
            if found["pid"] == 0:
                child(**request["start"])
        else:
            _, status = os.waitpid(request["wait"], 0)
            found = {"code": os.waitstatus_to_exitcode(status)}
        os.write(answer, json.dumps(found).encode() + b"\n")


def child(args: list[str], cwd: str, env: dict[str, str], out: str) -> None:
    code = 99
    try:
        os.chdir(cwd)
        os.environ.update(env)
        for number, name in ((0, os.devnull), (1, f"{out}.out"), (2, f"{out}.err")):
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        from unlearnkit.cli import main as command_line

        try:
            command_line(args)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
