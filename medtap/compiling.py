"""A network compiled by torch, for cohorts long enough to pay for it."""

from __future__ import annotations

import torch
from torch import nn

from medtap.errors import OptionError
from medtap.inference import PlaneInferer


def compile_forward(network: nn.Module, inferer: PlaneInferer, device: torch.device) -> None:
    """Have torch compile a network's forward in place, and a first plane compiled before any work begins.

    Args:
        network: on the device.
        inferer: that will call it; another number of planes at once is compiled when it first comes.
        device: with a compiler: of C++ for the CPU, triton for a GPU.

    Raises:
        OptionError: it cannot be compiled here.
    """
    network.compile()
    try:
        inferer(torch.zeros(1, 3, inferer.size, inferer.size, device=device), network)
    except RuntimeError as error:
        raise OptionError(
            "the network cannot be compiled here",
            found=str(error).strip().partition("\n")[0],
            remedy="leave --compile out, or install a C++ compiler",
        ) from error
