"""The folder of tensors: what is read is what was written, what is dropped is what nobody needs."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unlearnkit.errors import UnlearnkitError
from unlearnkit.store.files import FileArea
from unlearnkit.store.process import boot_id

from .making import fork


@pytest.fixture
def area(tmp_path: Path) -> FileArea:
    return FileArea(tmp_path / "x.db.files")


def names(area: FileArea) -> set[str]:
    return {str(p.relative_to(area.root)) for p in area.root.rglob("*") if not p.is_dir()}


def age(path: Path, seconds: float = 7200) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
    found = {f"ü/{kind}": torch.randn(3, 5, generator=generator).to(kind) for kind in kinds}
    whole = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
    found |= {str(kind): torch.randint(0, 2, (7,), generator=generator).to(kind) for kind in whole}
    found["transposed"] = torch.arange(6.0).reshape(2, 3).T
    found["scalar"], found["empty"] = torch.tensor(2.5), torch.empty(0, 3)
    found["odd"] = torch.tensor([float("nan"), float("inf"), -0.0])
    found["trained"] = torch.nn.Parameter(torch.ones(2))
    return found


def test_what_is_written_is_what_safetensors_reads(area: FileArea):
    given = tensors()
    sha = area.save(given)
    for read in (load_file(area.root / sha[:2] / f"{sha}.safetensors"), area.load(sha)):
        assert read.keys() == given.keys()
        for name, tensor in given.items():
            assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape
            bits = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (tensor, read[name])]
            assert torch.equal(*bits), name
    assert area.save(dict(reversed(given.items()))) == sha, "the name comes from the content alone"
    assert names(area) == {f"{sha[:2]}/{sha}.safetensors"}


def test_nobody_else_may_read(area: FileArea):
    area.save(tensors())
    for path in [area.root, *area.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_other_element_types_are_refused(area: FileArea):
    with pytest.raises(ValueError, match="complex64"):
        area.save({"z": torch.ones(2, dtype=torch.complex64)})
    assert names(area) == set()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "link"])
def test_an_altered_file_is_never_loaded(area: FileArea, tmp_path: Path, harm: str):
    sha = area.save(tensors())
    path = area.root / sha[:2] / f"{sha}.safetensors"
    content = bytearray(path.read_bytes())
    path.unlink()
    if harm == "flip":
        content[-5] ^= 1
        path.write_bytes(content)
    elif harm == "cut":
        path.write_bytes(content[:-1])
    elif harm == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnlearnkitError) as caught:
        area.load(sha)
    assert caught.value.code == "checkpoint"


@pytest.mark.parametrize("name", ["../" * 5 + "etc/passwd", "/etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_digests_are_names(area: FileArea, name: str):
    assert not area.has(name)
    area.drop(name)
    with pytest.raises(UnlearnkitError) as caught:
        area.load(name)
    assert caught.value.code == "checkpoint"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "disk-full"), (errno.EIO, "checkpoint")])
def test_a_failing_disk_leaves_nothing(
    area: FileArea, monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    area.root.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(UnlearnkitError) as caught:
            area.save(tensors())
    assert caught.value.code == code
    assert names(area) == set()


def test_short_writes_are_gone_on_with(area: FileArea, monkeypatch: pytest.MonkeyPatch):
    whole = area.save(tensors())
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    assert area.save(tensors()) == whole
    assert area.load(whole)


def test_collecting(area: FileArea, tmp_path: Path):
    used, spare, fresh = (area.save({"x": torch.tensor(n)}) for n in range(3))
    for sha in (used, spare):
        age(area.root / sha[:2] / f"{sha}.safetensors")
    child = fork(lambda: None)
    child.join()
    boot = boot_id().replace("-", "")
    dead, mine = (area.root / f".tmp-{boot}-{pid}-0" for pid in (child.pid, os.getpid()))
    before, elsewhere = area.root / ".tmp-aaaa-1-0", area.root / ".tmp-bbbb-1-0"
    canary = tmp_path / f"{'e' * 64}.safetensors"
    others = [area.root / "notes.txt", area.root / "aa.safetensors", area.root / ".tmp-x", canary]
    for path in (dead, mine, before, elsewhere, *others):
        path.write_text("x")
    age(before)
    for path in others:
        age(path)
    # Links with the right names, to a file and to a folder that holds one.
    linked = area.root / "ab" / f"{'a' * 64}.safetensors"
    linked.parent.mkdir(exist_ok=True)
    linked.symlink_to(canary)
    age(linked)
    (area.root / "ee").symlink_to(tmp_path)
    kept = names(area) - {f"{spare[:2]}/{spare}.safetensors", dead.name, before.name}

    assert area.waste({used})
    area.collect({used})

    assert names(area) == kept
    assert canary.exists() and not area.waste({used})
    assert area.has(used) and area.has(fresh)


def test_an_area_that_is_a_link_is_left_alone(area: FileArea, tmp_path: Path):
    other = FileArea(tmp_path / "other")
    sha = other.save(tensors())
    age(other.root / sha[:2] / f"{sha}.safetensors")
    area.root.symlink_to(other.root)
    area.collect(set())
    area.drop(sha)
    assert other.has(sha)
    with pytest.raises(UnlearnkitError):
        area.save(tensors())
