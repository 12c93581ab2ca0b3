"""`doctor` tells of a machine that others keep busy, and how data are found that are not there."""

from __future__ import annotations

import os

import pytest

from unlearnkit.runs.doctor import examine
from unlearnkit.runs.workplace import Workplace


@pytest.mark.parametrize(("load", "busy"), [(1.5, False), (2.0, False), (8.25, True)])
def test_threads_are_advised_where_there_is_more_work_than_cores(
    load: float, busy: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (found,) = (check for check in examine(Workplace()) if check.what == "load")
    assert found.ok and found.found.startswith(f"{load:.1f} on 2 cores")
    assert ("UNLEARNKIT_THREADS=1" in found.found) is busy


def test_a_folder_of_tofu_that_is_not_set_is_told_how():
    (found,) = (check for check in examine(Workplace()) if check.what == "TOFU")
    assert all(way in found.found for way in ("--tofu-dir", "UNLEARNKIT_TOFU_DIR", "--allow-download"))
