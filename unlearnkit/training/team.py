"""The processes that train one model together, or the only one.

The first leads: it alone knows the store, draws samples and decides what is done next. The others are told, and do the
same with their share of the samples. Two ways to share a model: "ddp" keeps it whole in each process and adds up
gradients; "fsdp2" keeps a piece of each tensor in each process (torch's `fully_shard`). Gradients are added up and
never averaged, since the loss is divided by the step's own numbers; so a step is the same on any number of processes.

accelerate finds the processes and their devices. It does not wrap the model: on CPUs its FSDP silently is DDP, and its
DDP hides the gradients that a wrapper asks for term by term.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from unlearnkit.errors import BadInput, Interrupted
from unlearnkit.training.words import launched

if TYPE_CHECKING:
    from accelerate import PartialState
    from torch import Tensor, nn
    from torch.distributed.device_mesh import DeviceMesh

Thing = TypeVar("Thing")
GONE = ("Connection closed by peer", "Connection reset by peer", "gloo/transport", "NCCL")
"""What the error of a process says whose peer has ended."""
PATIENCE = timedelta(days=1)
"""How long processes wait for the one that leads: it may be evaluating."""


class Team:
    """One process alone."""

    rank = 0
    size = 1
    sharded = False

    def share(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """This process's part of some rows, or batches."""
        return things[self.rank :: self.size]

    def shard(self, model: nn.Module) -> nn.Module:
        """The model as this process holds it."""
        return model

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up each tensor over the processes, in place."""

    def merge(
        self, totals: dict[str, float], found: list[tuple[int, float]]
    ) -> tuple[dict[str, float], list[tuple[int, float]]]:
        """Sums by name, and rows of all processes in order of processes."""
        return totals, found

    def tell(self, order: Any) -> None:
        """Say what all do next: the others `hear` it."""

    def hear(self) -> Any:
        """What is done next."""
        raise AssertionError("one process alone tells itself nothing")

    def leave(self) -> None:
        """No longer be one of them."""

    def spread(self, tensors: Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
        """The leader's tensors, in all processes; the others give None."""
        assert tensors is not None
        return tensors


class Processes(Team):
    """Those that torchrun or accelerate launched."""

    def __init__(self, sharing: str) -> None:
        from accelerate import PartialState

        with together():
            self._state: PartialState = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        self.rank, self.size = self._state.process_index, self._state.num_processes
        self.sharded = sharing == "fsdp2"
        self._mesh: DeviceMesh | None = None
        if self.size != launched():
            raise BadInput(f"{launched()} processes were launched, {self.size} found each other", code="processes")

    def shard(self, model: nn.Module) -> nn.Module:
        if not self.sharded:
            return model
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard
        from torch.distributed.tensor import DTensor

        from unlearnkit.losses import decoder_blocks

        if self._mesh is None:
            self._mesh = init_device_mesh(next(model.parameters()).device.type, (self.size,))
        for module in (*decoder_blocks(model), model):
            fully_shard(module, mesh=self._mesh)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
        if not all(isinstance(p, DTensor) for p in model.parameters()):
            raise AssertionError("fsdp2 was asked for, and a parameter is whole")
        return model

    def sum(self, tensors: Sequence[Tensor]) -> None:
        if self.sharded:  # its backward pass has done so
            return
        with together():
            for work in [torch.distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def merge(
        self, totals: dict[str, float], found: list[tuple[int, float]]
    ) -> tuple[dict[str, float], list[tuple[int, float]]]:
        from accelerate.utils import gather_object

        with together():
            parts = gather_object([(totals, found)])
        names = dict.fromkeys(name for part, _ in parts for name in part)
        sums = {name: sum(part.get(name, 0.0) for part, _ in parts) for name in names}
        return sums, [row for _, rows in parts for row in rows]

    def tell(self, order: Any) -> None:
        from accelerate.utils import broadcast_object_list

        with together():
            broadcast_object_list([order])

    def hear(self) -> Any:
        from accelerate.utils import broadcast_object_list

        said: list[Any] = [None]
        with together():
            broadcast_object_list(said)
        return said[0]

    def spread(self, tensors: Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
        if tensors is not None:
            self.tell({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()})
            got = {name: tensor.to(self._state.device) for name, tensor in tensors.items()}
        else:
            got = {
                name: torch.empty(shape, dtype=dtype, device=self._state.device)
                for name, (shape, dtype) in self.hear().items()
            }
        with together():
            for tensor in got.values():
                torch.distributed.broadcast(tensor, 0)
        return got

    def leave(self) -> None:
        # A thread of the group that is left when Python ends may abort the process, so nothing may hold the group any
        # more: no model in pieces, nor its mesh, which torch's caches keep.
        gc.collect()
        getattr(self._mesh, "_pg_registry", {}).clear()
        self._state.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the pieces of all processes, which all must ask for; one that is not in pieces as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[no-any-return]


def piece(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # type: ignore[no-any-return]


def like(full: Tensor, model: Any) -> Tensor:
    """A whole tensor, cut and placed as another."""
    if not hasattr(model, "device_mesh"):
        return full.to(model.device, copy=True)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(full.to(model.device), model.device_mesh, model.placements)


@contextmanager
def together() -> Iterator[None]:
    """Work that needs all processes: where one has gone, a run is interrupted and has not failed."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or any(sign in str(error) for sign in GONE):
            raise Interrupted("another process of this run has gone; what was done is kept") from error
        raise
