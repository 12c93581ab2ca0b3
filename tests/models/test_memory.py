"""What a process may take is what its control groups say."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from unlearnkit.models.memory import allowed

NONE = "9223372036854771712"  # version 1's word for no limit
LAID = {
    "docker, version 2": ("0::/", {"memory.max": "4096"}, 4096),
    "docker, version 1": (
        "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/docker/ab",
        {"memory/memory.limit_in_bytes": "4096", "cpu/memory.limit_in_bytes": "1"},
        4096,
    ),
    "slurm, version 2": (
        "0::/system.slice/slurmstepd.scope/job_1/step_0/user/task_0",
        {
            "system.slice/slurmstepd.scope/job_1/memory.max": "8192",
            "system.slice/slurmstepd.scope/job_1/step_0/memory.max": "max",
            "system.slice/slurmstepd.scope/job_1/step_0/user/task_0/memory.max": "max",
            "system.slice/slurmstepd.scope/job_2/memory.max": "1",
        },
        8192,
    ),
    "slurm, version 1": (
        "7:memory:/slurm/uid_0/job_1/step_0\n1:name=systemd:/slurm",
        {
            "memory/slurm/uid_0/job_1/step_0/memory.limit_in_bytes": "8192",
            "memory/slurm/uid_0/job_1/memory.limit_in_bytes": "4096",
            "memory/memory.limit_in_bytes": NONE,
        },
        4096,
    ),
    "no limit": ("4:memory:/\n0::/", {"memory/memory.limit_in_bytes": NONE, "memory.max": "max"}, None),
}


@pytest.mark.parametrize("name", LAID)
def test_the_least_of_all_groups_above_a_process_holds(name: str, tmp_path: Path):
    groups, files, expected = LAID[name]
    (tmp_path / "cgroup").write_text(groups + "\n")
    for path, limit in files.items():
        file = tmp_path / "fs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit + "\n")
    assert allowed(tmp_path / "cgroup", tmp_path / "fs") == (expected or psutil.virtual_memory().total)


def test_without_control_groups_it_is_the_machines(tmp_path: Path):
    assert allowed(tmp_path / "cgroup", tmp_path) == psutil.virtual_memory().total
