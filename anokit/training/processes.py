"""Several devices: ``torchrun --nproc-per-node N -m anokit run RECIPE``.

Every process trains on its share of each batch. Gradients are averaged just before an optimiser
steps, by a hook on the optimisers of the phase, so that neither loop nor backbone knows of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from anokit.errors import UsageError

SYNC_EVERY = 20
"""Steps between two agreements on buffers and on whether to stop or save."""


@dataclass(frozen=True)
class World:
    """The processes of a run and this one's place among them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Return this process's images of a batch.

        Raises
        ------
        UsageError
            Where the batch cannot be cut into equal shares.
        """
        if batch_size % self.size:
            raise UsageError(
                f"a batch of {batch_size} images cannot be shared by {self.size} processes; "
                "set a batch size that is a multiple of their number"
            )
        return batch_size // self.size

    def average_gradients(self, optimisers: Mapping[str, Optimizer]) -> None:
        """Make optimisers average their gradients over all processes before each step."""
        if self.size == 1:
            return
        for optimiser in optimisers.values():
            optimiser.register_step_pre_hook(self._average)

    def wait(self) -> None:
        """Wait until every process has come to this line."""
        if self.size > 1:
            dist.barrier()

    def agree(self, flags: int, device: torch.device) -> int:
        """Return the largest of all processes' ``flags``."""
        if self.size == 1:
            return flags
        shared = torch.tensor(flags, device=device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def synchronise(self, module: nn.Module) -> None:
        """Give every process the weights and buffers of the first one.

        Weights agree by themselves but for what a process draws or counts on its own: running
        statistics of its share, a network that was drawn anew.
        """
        if self.size == 1:
            return
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)

    def as_first(self, values: Tensor, device: torch.device) -> Tensor:
        """Return the first process's ``values``, which have one shape in all of them."""
        if self.size == 1:
            return values
        shared = values.to(device)
        dist.broadcast(shared, 0)
        return shared.cpu()

    def gather_states(self, state: Tensor, device: torch.device) -> list[Tensor]:
        """Return the generator states ``[S]`` uint8 of all processes, in order of rank."""
        if self.size == 1:
            return [state]
        mine = state.to(device)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(found, mine)
        return [one.cpu() for one in found]

    def _average(self, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [
            p.grad
            for group in optimiser.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        for same in _by_type(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in same])
            dist.all_reduce(flat)
            flat /= self.size
            start = 0
            for gradient in same:
                gradient.copy_(flat[start : start + gradient.numel()].view(gradient.shape))
                start += gradient.numel()


def _by_type(tensors: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return groups.values()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """Join the processes that torchrun started, if it did; yield them and this one's device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size), device
    finally:
        dist.destroy_process_group()
