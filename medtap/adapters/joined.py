"""Several adapters of one network as one, such as LoRA in the encoder and the head trained beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from medtap.adapters.adapter import Adapter, AttachedAdapter
from medtap.errors import WeightsError
from medtap.networks.segmenter import FewShotSegmenter

SIGN = "+"
"""Stands between the names of methods that are joined."""


@dataclass(frozen=True)
class Joined(Adapter):
    """Adapters that change different parameters, attached one after another.

    Attributes:
        adapters: in the order of their names.
    """

    adapters: tuple[Adapter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", SIGN.join(adapter.name for adapter in self.adapters))

    def part(self, network: FewShotSegmenter) -> nn.Module:
        """The whole network, of which each adapter changes its part."""
        return network

    def suited(self, network: FewShotSegmenter) -> Joined:
        """Each as it suits the network."""
        return Joined(tuple(adapter.suited(network) for adapter in self.adapters))

    def attach(self, encoder: nn.Module) -> AttachedJoined:
        """Attach each adapter in place to its part of a network."""
        return AttachedJoined([adapter.attach(adapter.part(encoder)) for adapter in self.adapters])  # type: ignore[arg-type]

    def fold(self, encoder: nn.Module, values: Mapping[str, Tensor]) -> None:
        """Give each adapter's part of a network its own values in place.

        Raises:
            WeightsError: names or shapes of the values differ.
        """
        own: list[dict[str, Tensor]] = [{} for _ in self.adapters]
        for name, value in values.items():
            place, _, rest = name.partition(".")
            if not place.isdecimal() or int(place) >= len(own):
                expected = f"names that begin with the place of one of {len(own)} adapters"
                raise WeightsError("values of joined adapters do not fit", expected=expected, found=repr(name))
            own[int(place)][rest] = value
        for adapter, values_of_it in zip(self.adapters, own, strict=True):
            adapter.fold(adapter.part(encoder), values_of_it)  # type: ignore[arg-type]


class AttachedJoined(AttachedAdapter):
    """Adapters attached to parts of one network, the last one to come off first.

    Args:
        attached: in the order in which they were attached; each froze what it found.
    """

    def __init__(self, attached: Sequence[AttachedAdapter]) -> None:
        self._attached, self.what = list(attached), "values of joined adapters"
        for parameter in self.parameters():
            parameter.requires_grad_(True)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of all, with the adapter's place before the name: ``0.x.qkv.lora_A.weight``."""
        for place, attached in enumerate(self._attached):
            yield from ((f"{place}.{name}", parameter) for name, parameter in attached.named_parameters())

    def layer_of(self, name: str) -> str:
        """The layer, named as its own adapter names it."""
        place, _, own = name.partition(".")
        return self._attached[int(place)].layer_of(own)

    def reset(self, generator: Generator) -> None:
        """Draw the initial values of one after another."""
        for attached in self._attached:
            attached.reset(generator)

    def train(self, mode: bool = True) -> None:
        """Switch the dropout of all."""
        for attached in self._attached:
            attached.train(mode)

    def merge(self) -> None:
        """Merge all, each finding the network as it left it."""
        for attached in reversed(self._attached):
            attached.merge()

    def detach(self) -> None:
        """Take all off."""
        for attached in reversed(self._attached):
            attached.detach()

    def hand_gradients_on(self) -> None:
        """Each to the parameters that it stands in for."""
        for attached in self._attached:
            attached.hand_gradients_on()

    def auxiliary_loss(self) -> Tensor | float:
        """The sum of what each adds."""
        return sum((attached.auxiliary_loss() for attached in self._attached), 0.0)
