"""What an adapter is: a reversible change of a network's encoder with a few parameters of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from torch import Generator, Tensor, nn

from medtap.adapters.parameters import load_values
from medtap.networks.segmenter import FewShotSegmenter


class AttachedAdapter(ABC):
    """An adapter attached to one encoder. Until ``merge`` or ``detach`` the encoder computes through it.

    Attributes:
        what: its values are called in errors, such as ``LoRA factors``.
    """

    what: str

    @abstractmethod
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters to train, and no other, with names that begin with their layer's; a shared one once."""

    @abstractmethod
    def layer_of(self, name: str) -> str:
        """The layer of the encoder that the parameter of a name changes."""

    def layers(self) -> dict[str, list[nn.Parameter]]:
        """The parameters to train, and no other, by the name of the layer they change."""
        layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            layers.setdefault(self.layer_of(name), []).append(parameter)
        return layers

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters to train, and no other."""
        return (parameter for layer in self.layers().values() for parameter in layer)

    @abstractmethod
    def reset(self, generator: Generator) -> None:
        """Draw the initial values anew; the encoder then computes exactly what it did without the adapter."""

    @abstractmethod
    def train(self, mode: bool = True) -> None:
        """Switch the adapter's own dropout; the encoder's norms and dropout stay in evaluation."""

    @abstractmethod
    def merge(self) -> None:
        """Fold the adapter into new weights, the old tensors left as they were; the attached adapter is used up.

        An adapter that is no change of weights, such as a mixture of experts, stays in the encoder and is frozen there.
        """

    @abstractmethod
    def detach(self) -> None:
        """Take the adapter off; the encoder is bit for bit what it was before ``attach``."""

    def state_dict(self) -> dict[str, Tensor]:
        """The adapter's values, named as its parameters."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take values that ``state_dict`` gave.

        Raises:
            WeightsError: names or shapes differ.
        """
        load_values(dict(self.named_parameters()), state, self.what)

    def auxiliary_loss(self) -> Tensor | float:
        """What the adapter adds to the loss of the last forward pass."""
        return 0.0

    def hand_gradients_on(self) -> None:  # noqa: B027
        """Add to the network's own parameters the gradients of those that are trained in their place, if any are."""


class Adapter(ABC):
    """A method of adaptation with its numbers, not yet attached to anything."""

    name: str

    def part(self, network: FewShotSegmenter) -> nn.Module:
        """The part of a network that the method changes: its encoder, but for methods that are compared with that."""
        return network.encoder

    def suited(self, network: FewShotSegmenter) -> Adapter:  # noqa: ARG002
        """The method with what a network says where the method leaves a choice open."""
        return self

    def options(self) -> dict[str, Any]:
        """What ``build_adapter`` makes it from again, beside its name: plain values."""
        return asdict(self)  # type: ignore[call-overload]

    @abstractmethod
    def attach(self, encoder: nn.Module) -> AttachedAdapter:
        """Attach to an encoder (or another ``part``) in place and freeze everything else in it.

        Raises:
            OptionError: the adapter finds nothing to change in the encoder, or its numbers do not fit.
        """

    def fold(self, encoder: nn.Module, values: Mapping[str, Tensor]) -> None:
        """Give an encoder (or another ``part``) in place what was trained before: attach, load and merge.

        Args:
            encoder: in place.
            values: that ``AttachedAdapter.state_dict`` gave.

        Raises:
            OptionError: as ``attach``.
            WeightsError: names or shapes of the values differ.
        """
        attached = self.attach(encoder)
        attached.load_state_dict(values)
        attached.merge()
