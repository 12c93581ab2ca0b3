"""What `test_team` has several processes do: train every case, and leave the leader's weights behind.

torchrun --nproc-per-node 2 tests/training/processes.py SHARING FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.npo import NPO
from unlearnkit.algorithms.pdu import PDU
from unlearnkit.algorithms.rmu import RMU
from unlearnkit.testing.material import encoded, tiny_model
from unlearnkit.training.loop import Trainer
from unlearnkit.training.plan import TrainingPlan, by_epoch
from unlearnkit.training.probes import Probes
from unlearnkit.training.team import Processes, Team
from unlearnkit.wrappers.gru import GRU
from unlearnkit.wrappers.sam import SAM
from unlearnkit.wrappers.soul import SOUL

sys.path.append(str(Path(__file__).parents[2] / "plugins" / "unlearnkit-lora"))
from unlearnkit_lora.adapter import LoRA

PLAN = TrainingPlan(
    n=7, epochs=2, max_steps=None, batch_size=3, grad_accum=1, lr=1e-3, schedule="linear", warmup=0.25,
    weight_decay=0.1, max_grad_norm=1.0, seed=5,
)  # fmt: skip
ORDERS = [[3, 1, 4, 0, 5, 2, 6], [6, 5, 4, 3, 2, 1, 0]]
CASES: dict[str, dict[str, Any]] = {
    "npo": {"algorithm": NPO()},
    "accumulated": {"algorithm": NPO(), "plan": replace(PLAN, batch_size=2, grad_accum=2)},
    "the starting model's distributions": {"algorithm": GradDiff(retain="kl")},
    "some matrices": {"algorithm": RMU(layer=1)},
    "a dual variable": {"algorithm": PDU(retain_loss_eps=1.0)},
    "gru": {"algorithm": GradDiff(), "wrapper": GRU()},
    "sam": {"algorithm": NPO(), "wrapper": SAM()},
    "soul": {"algorithm": GradDiff(), "wrapper": SOUL(every=2, delta=1e-2), "plan": replace(PLAN, optimizer="sgd")},
    "lora": {"algorithm": NPO(), "adapter": LoRA(rank=2)},
    "lora, distributions": {"algorithm": GradDiff(retain="kl"), "adapter": LoRA(rank=2)},
    "adafactor": {"algorithm": GradDiff(), "plan": replace(PLAN, optimizer="adafactor")},
    "recomputed": {"algorithm": GradDiff(), "plan": replace(PLAN, recompute=True)},
}
"""Batches of three over seven samples: shares are uneven, and one has no sample. Curvature is looked at from so far
that rounding does not show."""
BFLOAT16: dict[str, dict[str, Any]] = {
    precision: {"algorithm": NPO(), "plan": replace(PLAN, optimizer="sgd", lr=0.1, precision=precision)}
    for precision in ("mixed-bf16", "bf16")
}
"""By plain descent, whose steps differ as gradients do: AdamW makes a whole step of a rounding where that is all there
is of a gradient."""
NOT_IN_PIECES = {"adafactor"}
"""What torch cannot do to a tensor in pieces; the command says so before it begins."""


def cases(sharing: str) -> list[str]:
    return [case for case in CASES if not (sharing == "fsdp2" and case in NOT_IN_PIECES)]


def every(sharing: str) -> list[str]:
    return [*cases(sharing), *BFLOAT16]


def trainer(case: str, team: Team) -> Trainer:
    parts = {"plan": PLAN, **(CASES | BFLOAT16)[case]}
    import torch

    return Trainer(
        model=tiny_model(), name=case, team=team, pad=0,
        sets={"forget": encoded(7, seed=1), "retain": encoded(5, seed=2)},
        draw=by_epoch(parts["plan"], lambda epoch: ORDERS[epoch]), anchors={"forget": torch.linspace(10, 30, 7)},
        probes=Probes(list("abcdefg")), probe_every=2, **parts,
    )  # fmt: skip


def trained(case: str, team: Team) -> dict[str, Any]:
    """Train a case to its end, going over to another trainer in the middle: weights, the optimiser's float32 copies of
    them as "copy.NAME", and numbers as tensors."""
    import torch

    first = trainer(case, team)
    steps = first.steps()
    rows = [next(steps), next(steps)]
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    team.tell(("next",))
    second = trainer(case, team)
    second.load_state(state, 2)
    rows += list(second.steps())
    assert second.probes is not None
    weights = {name: p.detach().clone() for name, p in second.plain().named_parameters()}
    kept = {name.removeprefix("optimizer."): tensor.clone() for name, tensor in second.state().items()}
    weights |= {name: tensor for name, tensor in kept.items() if name.startswith("copy.")}
    team.tell(("next",))
    numbers = [[row["loss"], row["grad_norm"]] for row in rows]
    return {**weights, "rows": torch.tensor(numbers), "probes": torch.tensor(second.probes.known(second.done))}


def main() -> None:
    team = Processes(sys.argv[1])
    for case in every(sys.argv[1]):
        if team.rank == 0:
            save_file(trained(case, team), Path(sys.argv[2]) / f"{case}.safetensors")
        else:
            for _ in range(2):
                assert trainer(case, team).follow() == ("next",)
    team.leave()
    threads = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    assert "pt_gloo_runloop" not in threads, "one that is there when Python ends may abort it"


if __name__ == "__main__":
    main()
