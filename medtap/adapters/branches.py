"""Branches: small networks beside the layers of an encoder, what they give added to what the layers give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import freeze, restore_flags


class Branch(nn.Module):
    """A small network beside a layer. It sees channels last, whatever the layer is."""

    def reset(self, generator: Generator) -> None:
        """Draw the initial values, of which ``forward`` gives zeros."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """From what the layer is given, [B,h,w,C] or tokens [B,N,C], to what is added to what it gives."""
        raise NotImplementedError

    def settle(self) -> None:
        """Fold together what can be, as training is over."""

    def folded(self, layer: nn.Module) -> dict[str, Tensor]:
        """New values of the layer's parameters that make up for the branch, where it is linear."""
        raise NotImplementedError

    def add_to(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The forward hook of the layer: a 1x1 convolution's maps [B,C,h,w] are brought to channels last and back."""
        if isinstance(layer, nn.Conv2d):
            rows, columns = layer.stride
            seen = inputs[0][:, :, ::rows, ::columns].permute(0, 2, 3, 1)
            return output + self(seen).permute(0, 3, 1, 2)
        return output + self(inputs[0])


class AttachedBranches(AttachedAdapter):
    """Branches attached to an encoder; its own weights and the modules that hold them stay as they are.

    Args:
        encoder: of any kind.
        branches: by name, which is a layer's and then the branch's own, such as ``x.pwconv1.bottleneck``. They may
            share parameters, which belong to the first that holds them.
        what: their values are called in errors.
    """

    def __init__(self, encoder: nn.Module, branches: Mapping[str, Branch], what: str) -> None:
        self._encoder, self._branches, self.what = encoder, dict(branches), what
        self._flags = freeze(encoder)
        self._hooks = {name: self._add(name, branch) for name, branch in self._branches.items()}
        self.reset(Generator().manual_seed(0))
        self.train(False)

    def _layer(self, name: str) -> nn.Module:
        return self._encoder.get_submodule(name.rpartition(".")[0])

    def _add(self, name: str, branch: Branch) -> torch.utils.hooks.RemovableHandle:
        layer = self._layer(name)
        weight = next(layer.parameters())
        branch.to_empty(device=weight.device).to(weight.dtype)
        layer.add_module(name.rpartition(".")[2], branch)
        return layer.register_forward_hook(branch.add_to)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The branches' parameters, such as ``x.pwconv1.bottleneck.up.weight``; a shared one is the first branch's."""
        names: dict[nn.Parameter, str] = {}
        for name, branch in self._branches.items():
            for own, parameter in branch.named_parameters(prefix=name):
                names.setdefault(parameter, own)
        return ((name, parameter) for parameter, name in names.items())

    def layer_of(self, name: str) -> str:
        """The name up to the branch's own."""
        branch = next(branch for branch in self._branches if name.startswith(f"{branch}."))
        return branch.rpartition(".")[0]

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:
        """Draw every branch anew, on the CPU so that devices agree."""
        for branch in self._branches.values():
            branch.reset(generator)

    def train(self, mode: bool = True) -> None:
        """Switch the branches' dropout and noise."""
        for branch in self._branches.values():
            branch.train(mode)

    @torch.no_grad()
    def merge(self) -> None:
        """Freeze the branches where they are: they are no change of the layers' weights."""
        self.train(False)
        flags = self._flags | {name: False for name, _ in self.named_parameters()}
        for branch in self._branches.values():
            branch.settle()
        restore_flags(self._encoder, flags)

    def detach(self) -> None:
        """Take the branches off."""
        for name, hook in self._hooks.items():
            hook.remove()
            delattr(self._layer(name), name.rpartition(".")[2])
        restore_flags(self._encoder, self._flags)


class FoldedBranches(AttachedBranches):
    """Linear branches: ``merge`` folds them into the layers' weights."""

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the branches into new weight tensors; the old tensors are left as they were."""
        for name, branch in self._branches.items():
            layer = self._layer(name)
            for own, value in branch.folded(layer).items():
                layer.register_parameter(own, nn.Parameter(value))
        self.detach()


def width_of(layer: nn.Module) -> tuple[int, int]:
    """Channels that a Linear layer, a 1x1 convolution, or a block of Linear layers in a row takes and gives."""
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels
    linear = [part for part in layer.modules() if isinstance(part, nn.Linear)]
    return linear[0].in_features, linear[-1].out_features
