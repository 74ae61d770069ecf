"""A tuner of peft attached to an encoder: what LoRA, DoRA, LoHa and LoKr have in common.

peft is imported where one of them is attached: it takes seconds, and a saved LoRA is used without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import torch
from torch import Generator, nn

from medtap.adapters.adapter import AttachedAdapter
from medtap.adapters.parameters import draw_kaiming, freeze, restore_flags
from medtap.chance import seeded

if TYPE_CHECKING:
    from peft import PeftConfig
    from peft.tuners.tuners_utils import BaseTuner

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
        from peft.tuners.lora import LoraLayer

        self._encoder, self._drawn, self.what, self._prefix = encoder, drawn, what, f".{tuner.prefix}"
        before = set(encoder.modules())
        self._flags = freeze(encoder)
        with seeded(0, "cpu"):
            self._tuner = tuner(encoder, config, _PEFT_NAME)
        for module in set(encoder.modules()) - before:
            module.training = False
            if isinstance(module, LoraLayer):  # autocast casts what it is given; peft would cast there and back
                module.cast_input_dtype_enabled = False
        self._start = {name: value.detach().clone() for name, value in self.named_parameters()}

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The factors by name, peft's name of the adapter left out, such as ``x.pwconv1.lora_A.weight``."""
        named = self._encoder.named_parameters()
        return ((_without_adapter_name(name), value) for name, value in named if self._prefix in name)

    def layer_of(self, name: str) -> str:
        """The name up to the factor's own."""
        return name.partition(self._prefix)[0]

    @torch.no_grad()
    def reset(self, generator: Generator) -> None:
        """Drawn factors: Kaiming uniform with a = sqrt 5, drawn on the CPU so that devices agree; others: constants."""
        for name, parameter in self.named_parameters():
            if self._drawn.isdisjoint(name.split(".")):
                parameter.copy_(self._start[name])
            else:
                draw_kaiming(parameter, generator)

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


def exactly(names: list[str]) -> str:
    """A pattern of these names alone; a list of names would match every layer whose name ends in one."""
    return "|".join(re.escape(name) for name in names)


def _without_adapter_name(name: str) -> str:
    return re.sub(rf"\.{_PEFT_NAME}(?=\.weight$|$)", "", name)
