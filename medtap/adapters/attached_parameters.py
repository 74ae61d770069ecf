"""Parameters of a network itself, trained in place of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import freeze, load_values, restore_flags


class AttachedParameters(AttachedAdapter):
    """Copies of a module's parameters that are trained instead of them.

    Args:
        module: an encoder or a whole network, changed in place.
        names: of the parameters.
        what: they are called in errors.
    """

    def __init__(self, module: nn.Module, names: Collection[str], what: str) -> None:
        self._module, self._what = module, what
        self._flags = freeze(module)
        self._old = {name: module.get_parameter(name) for name in names}
        self._own = {name: nn.Parameter(old.detach().clone()) for name, old in self._old.items()}
        self._put(self._own)

    def _put(self, parameters: Mapping[str, nn.Parameter]) -> None:
        for name, parameter in parameters.items():
            layer, _, own_name = name.rpartition(".")
            self._module.get_submodule(layer).register_parameter(own_name, parameter)

    def layers(self) -> dict[str, list[nn.Parameter]]:
        """The trained parameters of every layer."""
        layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self._own.items():
            layers.setdefault(name.rpartition(".")[0], []).append(parameter)
        return layers

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:  # noqa: ARG002
        """Back to the values of the network; none is drawn."""
        for name, parameter in self._own.items():
            parameter.copy_(self._old[name])

    def train(self, mode: bool = True) -> None:
        """There is no dropout to switch."""

    def merge(self) -> None:
        """Leave the trained parameters in the network."""
        restore_flags(self._module, self._flags)

    def detach(self) -> None:
        """Put the network's own parameters back."""
        self._put(self._old)
        restore_flags(self._module, self._flags)

    def state_dict(self) -> dict[str, Tensor]:
        """Trained parameters by the network's own names for them."""
        return {name: value.detach() for name, value in self._own.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take parameters by name."""
        load_values(self._own, state, self._what)
