"""The processes that train together, as `torchrun` starts them; without it, one alone.

All hold the same weights and decide alike; process 0 writes. What they tell each other goes through torch.distributed.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from seqtool.errors import SeqtoolError, UsageError


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """The rows of a mini-batch that are this process's; UsageError when it does not divide."""
        if batch_size % self.size:
            raise UsageError(f"--batch-size {batch_size} does not divide by {self.size} processes: choose a multiple")
        own = batch_size // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def sum(self, numbers: list[float]) -> list[float]:
        """The sums of each process's numbers, the same in all."""
        if self.size == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def from_main(self, value: Any) -> Any:
        """Process 0's value, which JSON can write, in all processes."""
        if self.size == 1:
            return value
        content = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=self.device)
        length = torch.tensor([len(content)], device=self.device)
        dist.broadcast(length, 0)
        if self.rank:
            content = torch.empty(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(content, 0)
        return json.loads(bytes(content.tolist()))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Every process's tensor, all of one shape, in the order of the processes."""
        if self.size == 1:
            return [tensor]
        sent = tensor.detach().to(self.device).contiguous()
        received = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(received, sent)
        return received

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()


def alone(device: torch.device) -> World:
    """One process by itself."""
    return World(0, 1, device)


def rank() -> int:
    """This process's number under torchrun; 0 without it."""
    return int(os.environ.get("RANK", "0")) if under_torchrun() else 0


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def restarts() -> int:
    """How often torchrun has started the processes again after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) if under_torchrun() else 0


def may_restart() -> bool:
    """Whether torchrun would start the processes again."""
    return under_torchrun() and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def own_device(device: torch.device) -> torch.device:
    """Under torchrun each process has a CUDA device of its own."""
    if str(device) == "cuda" and under_torchrun():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Meet the other processes, over NCCL on CUDA and Gloo elsewhere, while the block runs."""
    size = int(os.environ.get("WORLD_SIZE", "1")) if under_torchrun() else 1
    if size == 1:
        yield alone(device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # while others are waited for, Python hears no signal
    try:
        store, own_rank, size = next(rendezvous("env://"))
        store = PrefixStore(f"start {restarts()}", store)  # which keeps what those wrote who died
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=own_rank, world_size=size)
        signal.signal(signal.SIGTERM, handler)
        yield World(own_rank, size, device)
    except RuntimeError as error:
        if any(name in str(error).lower() for name in ("gloo", "nccl", "connection")):
            raise SeqtoolError(
                "another process of this training ended; torchrun --max-restarts N starts them again where they were"
            ) from error
        raise
    dist.destroy_process_group()
