"""Bytes that tensors hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Within, what operators make is counted for as long as it is there: `now`, and at most."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, tuple[StorageWeakRef, int]] = {}
        self._opaque: list[tuple[weakref.ref[torch.Tensor], int]] = []
        self.most = 0

    @property
    def now(self) -> int:
        self._sizes = {key: (ref, size) for key, (ref, size) in self._sizes.items() if not ref.expired()}
        self._opaque = [(ref, size) for ref, size in self._opaque if ref() is not None]
        return sum(size for _, size in (*self._sizes.values(), *self._opaque))

    def __torch_dispatch__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if not isinstance(tensor, torch.Tensor) or tensor.device.type == "meta":
                continue
            if tensor.is_mkldnn:  # which has no storage that can be seen
                self._opaque.append((weakref.ref(tensor), tensor.numel() * tensor.element_size()))
                continue
            storage = tensor.untyped_storage()
            self._sizes[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.most = max(self.most, self.now)
        return made
