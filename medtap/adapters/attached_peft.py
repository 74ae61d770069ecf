"""A tuner of peft attached to an encoder: what LoRA, DoRA, LoHa, LoKr and IA3 have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import freeze, load_values, restore_flags
from medtap.chance import seeded

_PEFT_NAME = "tap"


class AttachedPeft(AttachedAdapter):
    """A tuner of peft attached to an encoder.

    Args:
        encoder: of any kind, changed in place.
        tuner: the class of the tuner, such as peft's ``LoraModel``.
        config: its numbers and target modules.
        drawn: the factors whose initial values are drawn; the others start as peft has them start.
        what: the factors are called in errors.
    """

    def __init__(
        self, encoder: nn.Module, tuner: type[BaseTuner], config: PeftConfig, drawn: AbstractSet[str], what: str
    ) -> None:
        self._encoder, self._drawn, self._what, self._prefix = encoder, drawn, what, f".{tuner.prefix}"
        before = set(encoder.modules())
        self._flags = freeze(encoder)
        with seeded(0, "cpu"):
            self._tuner = tuner(encoder, config, _PEFT_NAME)
        for module in set(encoder.modules()) - before:
            module.training = False
        self._start = {name: value.detach().clone() for name, value in self._own().items()}

    def _own(self) -> dict[str, nn.Parameter]:
        """The factors by name, peft's name of the adapter left out, such as ``x.pwconv1.lora_A.weight``."""
        named = self._encoder.named_parameters()
        return {_without_adapter_name(name): value for name, value in named if self._prefix in name}

    def layers(self) -> dict[str, list[nn.Parameter]]:
        """The factors of every target layer."""
        layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self._own().items():
            layers.setdefault(name.partition(self._prefix)[0], []).append(parameter)
        return layers

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:
        """Drawn factors: Kaiming uniform with a = sqrt 5, drawn on the CPU so that devices agree; others: constants."""
        for name, parameter in self._own().items():
            parameter.copy_(self._initial(name, generator))

    def _initial(self, name: str, generator: Generator) -> Tensor:
        if self._drawn.isdisjoint(name.split(".")):
            return self._start[name]
        fresh = torch.empty(self._start[name].shape)
        return nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=generator)

    def train(self, mode: bool = True) -> None:
        """Switch the tuner's dropout."""
        for module in self._dropouts():
            module.train(mode)

    def _dropouts(self) -> Iterator[nn.Module]:
        suffix = f"_dropout.{_PEFT_NAME}"
        return (module for name, module in self._encoder.named_modules() if name.endswith(suffix))

    def merge(self) -> None:
        """Fold the factors into new weight tensors; the old tensors are left as they were."""
        self._tuner.merge_and_unload(safe_merge=True)
        restore_flags(self._encoder, self._flags)

    def detach(self) -> None:
        """Take the factors off."""
        self._tuner.unload()
        restore_flags(self._encoder, self._flags)

    def state_dict(self) -> dict[str, Tensor]:
        """Factors by the layer's name, such as ``backbone.x.pwconv1.lora_A.weight``."""
        return {name: value.detach() for name, value in self._own().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take factors by the layer's name."""
        load_values(self._own(), state, self._what)


def exactly(names: list[str]) -> str:
    """A pattern of these names alone; a list of names would match every layer whose name ends in one."""
    return "|".join(re.escape(name) for name in names)


def _without_adapter_name(name: str) -> str:
    return re.sub(rf"\.{_PEFT_NAME}(?=\.weight$|$)", "", name)
