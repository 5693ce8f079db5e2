"""One step over several processes: the same weights in all (DDP), or split over them (FSDP)."""

from __future__ import annotations

import warnings

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqtool.models.net import Net
from seqtool.training.world import World


def whole(tensor: Tensor) -> Tensor:
    """A tensor, put together where it is split over the processes, which then must all ask."""
    put_together = getattr(tensor, "full_tensor", None)
    return (tensor if put_together is None else put_together()).detach()


def split_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, split over the processes as `parameter` of its shape is; itself where that is not split."""
    if not hasattr(parameter, "device_mesh") or tensor.shape != parameter.shape:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(parameter, DTensor)
    return distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)


def in_parallel(model: Net, objective: nn.Module, world: World, shard: bool) -> nn.Module:
    """The objective of a model, whose backward pass averages gradients over the processes; as it is for one process.

    `shard` splits the weights, their gradients and the optimizer's numbers over the processes, and puts a layer's
    together only while it is at work (Zhao et al. 2023; torch's fully_shard).
    """
    if world.size == 1:
        return objective
    if not shard:
        return DistributedDataParallel(objective)
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    warnings.filterwarnings("ignore", message="FSDP2-wrapped module")  # of in-place operations, which we have none of
    for part in model.shards():
        fully_shard(part)
    fully_shard(model)
    for name in model.sharded_calls:
        register_fsdp_forward_method(model, name)
    return objective
