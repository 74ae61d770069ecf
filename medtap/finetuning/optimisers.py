"""Optimisers and the course of their learning rates."""

from __future__ import annotations

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medtap.adapters import AttachedAdapter
from medtap.adapters.orchestration import Coefficients, Orchestration
from medtap.finetuning.options import FinetuneOptions


def make_optimiser(network: nn.Module, attached: AttachedAdapter, options: FinetuneOptions) -> Optimizer:
    """The optimiser of an attached adapter's parameters.

    Args:
        network: with the adapter attached.
        attached: what is trained.
        options: name the optimiser and its rates.
    """
    orchestrating = orchestration_parameters(network)
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in attached.parameters():
        own = options.orchestration_rate if parameter in orchestrating else None
        groups.setdefault(own or options.learning_rate, []).append(parameter)
    kind = Adam if options.optimiser == "adam" else AdamW
    listed = [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]
    return kind(listed, weight_decay=options.weight_decay)


def orchestration_parameters(network: nn.Module) -> set[nn.Parameter]:
    """COBOT's C and P, and the quaternions of its maps D, where a network has them."""
    found: set[nn.Parameter] = set()
    for module in network.modules():
        if isinstance(module, Coefficients):
            found |= {module.coefficients, module.relation}
        if isinstance(module, Orchestration):
            found.add(module.quaternion)
    return found


def polynomial_decay(optimiser: Optimizer, steps: int, power: float) -> LambdaLR:
    """A schedule from the full rate down to zero after so many steps: (1 - step / steps) ** power."""
    return LambdaLR(optimiser, lambda step: max(0.0, 1 - step / steps) ** power)
