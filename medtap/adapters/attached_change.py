"""Weights of an encoder computed anew from what they were, and from a few trained values, whenever they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Generator, nn
from torch.nn.utils import parametrize

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import freeze, restore_flags


class AttachedChange(AttachedAdapter):
    """Changes of weights attached to an encoder, as parametrizations of torch.

    Args:
        encoder: of any kind, changed in place.
        changes: by the name of a weight, such as ``x.pwconv1.weight``, the module that computes it from its old value
            and parameters of its own. At their present values these must change nothing.
        what: the values are called in errors.
    """

    def __init__(self, encoder: nn.Module, changes: Mapping[str, nn.Module], what: str) -> None:
        self._encoder, self.what = encoder, what
        self._names, self._changes = list(changes), nn.ModuleList(changes.values())
        self._flags = freeze(encoder)
        self._old = {name: encoder.get_parameter(name) for name in changes}
        layers = [self._place(name)[0] for name in changes]
        self._order = {layer: [name for name, _ in layer.named_parameters(recurse=False)] for layer in layers}
        for name, change in changes.items():
            layer, weight = self._place(name)
            parametrize.register_parametrization(layer, weight, change, unsafe=True)
        self._start = {name: value.detach().clone() for name, value in self.named_parameters()}

    def _place(self, name: str) -> tuple[nn.Module, str]:
        layer, _, weight = name.rpartition(".")
        return self._encoder.get_submodule(layer), weight

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained values by the weight's name, such as ``x.pwconv1.weight.shift``."""
        for name, value in self._changes.named_parameters():
            index, _, part = name.partition(".")
            yield f"{self._names[int(index)]}.{part}", value

    def layer_of(self, name: str) -> str:
        """The name but for the weight and the value."""
        return name.rsplit(".", 2)[0]

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:  # noqa: ARG002
        """Back to the values that change nothing; none is drawn."""
        for name, parameter in self.named_parameters():
            parameter.copy_(self._start[name])

    def train(self, mode: bool = True) -> None:
        """There is no dropout to switch."""

    @torch.no_grad()
    def merge(self) -> None:
        """Keep the weights as they are computed, in new tensors."""
        places = {name: self._place(name) for name in self._names}
        self._end({name: nn.Parameter(getattr(*place).clone()) for name, place in places.items()})

    def detach(self) -> None:
        """Put the old weights back."""
        self._end(self._old)

    def _end(self, weights: Mapping[str, nn.Parameter]) -> None:
        for name, value in weights.items():
            layer, weight = self._place(name)
            parametrize.remove_parametrizations(layer, weight, leave_parametrized=False)
            layer.register_parameter(weight, value)
        for layer, order in self._order.items():
            _put_in_order(layer, order)
        restore_flags(self._encoder, self._flags)


def _put_in_order(layer: nn.Module, names: list[str]) -> None:
    """Register a layer's parameters in an order; torch gives one that was parametrized the last place."""
    for name in names:
        value = layer.get_parameter(name)
        delattr(layer, name)
        layer.register_parameter(name, value)
