"""LoRA of several support sets in one encoder: factors stacked, the pictures of each set changed by its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from medtap.adapters.branches import AttachedBranches, Branch
from medtap.adapters.lora import Lora
from medtap.errors import OptionError
from medtap.networks.segmenter import share_weights

Factors: TypeAlias = tuple[Tensor, Tensor]
"""A and B of a layer: [r,Ci] and [Co,r] of a Linear layer, [r,Ci,k,k] and [Co,r,1,1] of a convolution."""

_BRANCH, _PREFIX = "stacked", ".lora_"


def factors_by_layer(state: Mapping[str, Tensor]) -> dict[str, Factors]:
    """The factors of each layer in what the ``state_dict`` of an attached LoRA gives."""
    layers = dict.fromkeys(name.partition(_PREFIX)[0] for name in state)
    return {layer: (state[f"{layer}{_PREFIX}A.weight"], state[f"{layer}{_PREFIX}B.weight"]) for layer in layers}


def stack_factors(sets: Sequence[Mapping[str, Factors]]) -> dict[str, Factors]:
    """Stack the factors of A sets that have the same layers and shapes: [A,r,...] and [A,Co,...] for each layer."""
    return {layer: _stacked([factors[layer] for factors in sets]) for layer in sets[0]}


def _stacked(factors: Sequence[Factors]) -> Factors:
    first, second = zip(*factors, strict=True)
    return torch.stack(first), torch.stack(second)


def low_rank_change(layer: nn.Module, inputs: Tensor, factors: Factors) -> Tensor:
    """What the factors of A sets add to what a layer gives, each set's to its own pictures.

    Args:
        layer: Linear, or a dense convolution.
        inputs: what it is given, [A*P,...,Ci] or [A*P,Ci,h,w], set by set.
        factors: stacked.

    Raises:
        OptionError: the layer is not given pictures one by one, such as a table of positions.
    """
    if len(inputs) % len(factors[0]):
        raise OptionError(
            f"LoRA of {len(factors[0])} support sets at once meets a layer that does not see their pictures one by one",
            found=f"an input of {list(inputs.shape)}",
            remedy="adapt to one support set at a time",
        )
    if isinstance(layer, nn.Conv2d):
        return _convolution_change(layer, inputs, factors)
    down, up = factors
    reduced = torch.bmm(inputs.reshape(len(down), -1, inputs.shape[-1]), down.transpose(1, 2))
    return torch.bmm(reduced, up.transpose(1, 2)).view(*inputs.shape[:-1], -1)


def _convolution_change(layer: nn.Conv2d, inputs: Tensor, factors: Factors) -> Tensor:
    """A group of channels a set: [P,A*Ci,h,w] through A's convolutions and B's, and back to [A*P,Co,h',w']."""
    sets = len(factors[0])
    down, up = (factor.flatten(0, 1) for factor in factors)
    side_by_side = inputs.unflatten(0, (sets, -1)).transpose(0, 1).flatten(1, 2)
    reduced = F.conv2d(side_by_side, down, None, layer.stride, layer.padding, groups=sets)
    changed = F.conv2d(reduced, up, groups=sets)
    return changed.unflatten(1, (sets, -1)).transpose(0, 1).flatten(0, 1)


class StackedFactors(Branch):
    """The factors of A support sets beside a layer, zeros until they are given values.

    Args:
        factors: of one set, for their shapes.
        sets: A.
        scale: what the change is multiplied by, alpha / r.
    """

    def __init__(self, factors: Factors, sets: int, scale: float) -> None:
        super().__init__()
        self.lora_A, self.lora_B = (nn.Parameter(torch.zeros(sets, *factor.shape)) for factor in factors)
        self.scale = scale

    def add_to(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The forward hook of the layer."""
        return output + self.scale * low_rank_change(layer, inputs[0], (self.lora_A, self.lora_B))

    @torch.no_grad()
    def start(self, factors: Factors) -> None:
        """Give every set the same factors."""
        self.lora_A.copy_(factors[0].expand_as(self.lora_A))
        self.lora_B.copy_(factors[1].expand_as(self.lora_B))


class StackedLora(AttachedBranches):
    """LoRA of A support sets attached to one encoder, which is then given A * P pictures, set by set.

    Each set's values are those that ``Lora`` attached for it alone would have.

    Args:
        encoder: of any kind, changed in place.
        lora: without dropout, whose draws cannot be each set's own.
        sets: A.

    Raises:
        OptionError: as ``Lora.attach``.
    """

    def __init__(self, encoder: nn.Module, lora: Lora, sets: int) -> None:
        self._single = lora.attach(share_weights(encoder))
        factors = factors_by_layer(self._single.state_dict())
        self._stacks = {layer: StackedFactors(own, sets, lora.scale) for layer, own in factors.items()}
        branches = {f"{layer}.{_BRANCH}": stack for layer, stack in self._stacks.items()}
        super().__init__(encoder, branches, "stacked LoRA factors")

    def reset(self, generator: Generator) -> None:
        """Start every set with the same values: those that the generator would give ``Lora`` for each of them."""
        self._single.reset(generator)
        for layer, factors in factors_by_layer(self._single.state_dict()).items():
            self._stacks[layer].start(factors)

    def values_of(self, number: int) -> dict[str, Tensor]:
        """The values of one set, as the ``state_dict`` of ``Lora`` attached for it alone names them."""
        values: dict[str, Tensor] = {}
        for layer, stack in self._stacks.items():
            values[f"{layer}{_PREFIX}A.weight"] = stack.lora_A[number].detach()
            values[f"{layer}{_PREFIX}B.weight"] = stack.lora_B[number].detach()
        return values
