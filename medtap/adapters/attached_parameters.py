"""Parameters of a network itself, trained in place of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Generator, nn

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import freeze, restore_flags


class AttachedParameters(AttachedAdapter):
    """Copies of a module's parameters that are trained instead of them.

    Args:
        module: an encoder or a whole network, changed in place.
        names: of the parameters.
        what: they are called in errors.
    """

    def __init__(self, module: nn.Module, names: Collection[str], what: str) -> None:
        self._module, self.what = module, what
        self._flags = freeze(module)
        self._old = {name: module.get_parameter(name) for name in names}
        self._own = {name: nn.Parameter(old.detach().clone()) for name, old in self._old.items()}
        self._put(self._own)

    def _put(self, parameters: Mapping[str, nn.Parameter]) -> None:
        for name, parameter in parameters.items():
            layer, _, own_name = name.rpartition(".")
            self._module.get_submodule(layer).register_parameter(own_name, parameter)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trained parameters by the network's own names for them."""
        yield from self._own.items()

    def layer_of(self, name: str) -> str:
        """The name but for the parameter's own."""
        return name.rpartition(".")[0]

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:  # noqa: ARG002
        """Back to the values of the network; none is drawn."""
        for name, parameter in self._own.items():
            parameter.copy_(self._old[name])

    def train(self, mode: bool = True) -> None:
        """There is no dropout to switch."""

    def hand_gradients_on(self) -> None:
        """Add the gradients of the copies to the network's own parameters."""
        for name, parameter in self._own.items():
            if parameter.grad is not None:
                own = self._old[name]
                own.grad = parameter.grad.clone() if own.grad is None else own.grad + parameter.grad

    def merge(self) -> None:
        """Leave the trained parameters in the network."""
        restore_flags(self._module, self._flags)

    def detach(self) -> None:
        """Put the network's own parameters back, on the device and of the type that the network has now."""
        for name, old in self._old.items():
            old.data = old.data.to(self._own[name])
        self._put(self._old)
        restore_flags(self._module, self._flags)
