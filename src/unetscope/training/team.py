"""The processes of a training run under torchrun, or the one process without it; knows torch.distributed alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from unetscope.errors import RecipeError


@dataclass(frozen=True)
class Team:
    """Which of how many processes this is.

    Attributes:
        rank: This process, from 0.
        size: Processes in all.
        device: Where it computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The part of a batch that this process computes.

        Raises:
            RecipeError: The batch does not divide evenly.
        """
        if batch % self.size:
            raise RecipeError(f"batch is {batch} for {self.size} processes; use a multiple of {self.size}")
        return slice(self.rank, None, self.size)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as the processes train it together (gradients are averaged)."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def agree(self, number: float) -> float:
        """The first process's number, for all."""
        if self.size == 1:
            return number
        shared = torch.tensor([number], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared.item())

    def wait(self) -> None:
        """Go on when all processes have come this far."""
        if self.size > 1:
            distributed.barrier()

    def mean(self, number: float) -> float:
        """The mean of the processes' numbers, for all."""
        if self.size == 1:
            return number
        shared = torch.tensor([number], dtype=torch.float64, device=self.device)
        distributed.all_reduce(shared)
        return float(shared.item()) / self.size


@contextmanager
def gather_team() -> Iterator[Team]:
    """Join the other processes that torchrun started, if it did."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if size == 1:
        yield Team(0, 1, device)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Team(rank, size, device)
    finally:
        distributed.destroy_process_group()


def compute_repeatably() -> AbstractContextManager[None]:
    """Within, a CUDA card adds up convolutions in the same order every time, and those in float32 in full precision.

    By itself it takes algorithms with which a seed gives other weights each time, and TensorFloat-32 for float32.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
