"""What makes two runs the same run: a hash of all that determines their numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from unlearnkit.errors import BadInput
from unlearnkit.training.words import fusing, launched, sharing

if TYPE_CHECKING:
    from unlearnkit.settings import Settings
    from unlearnkit.store.records import Run


def digest(*parts: Any) -> str:
    """Hash of JSON-able values, key order aside. NaN is refused."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def environment(settings: Settings) -> dict[str, Any]:
    """What the bits of a result depend on besides the input: library versions, device, threads. Also makes torch
    deterministic and sets its threads, so that what is recorded is what holds."""
    import torch
    import transformers

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's matrix products are refused
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    cuda = torch.cuda.is_available()
    here = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if cuda else f"cpu {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
    }
    shared, fused = sharing(settings.parallel), fusing(settings.fused, cuda=cuda)
    processes = {} if shared is None else {"processes": f"{launched()} {shared}"}
    return here | processes | ({} if fused is None else {"fused": fused})


def check_environment(run: Run, now: dict[str, Any], *, inexact: bool) -> None:
    """Refuse to go on with a run where its bits could not be the same, unless that is wanted.

    Raises:
        BadInput: code `environment`, naming what differs.
    """
    keys, was = {**run.environment, **now}, run.environment
    differing = [f"{key} {now.get(key)}, was {was.get(key)}" for key in keys if now.get(key) != was.get(key)]
    if differing and not inexact:
        raise BadInput(
            f"going on with run {run.id} would not be bit-exact: {'; '.join(differing)}",
            hint="--inexact goes on all the same and marks the run; the command itself begins one of this environment",
            code="environment",
        )
