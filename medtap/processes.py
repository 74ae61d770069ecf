"""One training on several processes, each with its share of the images, as ``torchrun`` starts them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable

import torch
from torch import distributed, nn


def join_processes() -> None:
    """Join the other processes of a ``torchrun`` (NCCL where each has a GPU, else gloo); alone, nothing happens.

    They are left at the program's end at the latest: gloo's threads would abort a program that ends among them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if _processes_here() <= torch.cuda.device_count() else "gloo")
        atexit.register(leave_processes)


def _processes_here() -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def cores_each() -> int:
    """How many of this machine's cores each of its processes has."""
    return max(1, (os.cpu_count() or 1) // _processes_here())


def leave_processes() -> None:
    """Leave the other processes, where they were joined."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def place() -> tuple[int, int]:
    """This process's rank among all, and how many there are: 0 and 1 alone."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: a machine's GPUs are dealt out by local rank, round and round."""
    several = place()[1] > 1 and device == torch.device("cuda")
    number = int(os.environ.get("LOCAL_RANK", "0")) % max(1, torch.cuda.device_count())
    return torch.device("cuda", number) if several else device


def tell_all(value: bool) -> bool:
    """What the first process says, for every process; waits until all are here."""
    told = [value]
    if place()[1] > 1:
        distributed.broadcast_object_list(told)
    return told[0]


def mean_of_all(value: float, device: torch.device) -> float:
    """The mean of what every process has; their tensors meet on the device."""
    count = place()[1]
    if count == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return total.item() / count


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean gradient of all; a parameter that a process did not use counts as zero there.

    Adapters are small, so one sum over them does, and parameters that only an auxiliary loss reaches (Conv-LoRA's
    gates) need no care, as they would in DistributedDataParallel.
    """
    count = place()[1]
    if count == 1:
        return
    trained = list(parameters)
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([parameter.grad.flatten() for parameter in trained if parameter.grad is not None])
    distributed.all_reduce(flat)
    for parameter, mean in zip(trained, (flat / count).split([p.numel() for p in trained]), strict=True):
        parameter.grad = mean.view_as(parameter)
