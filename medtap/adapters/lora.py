"""LoRA (Hu et al., ICLR 2022), peft's, as Take a Peek uses it: on attention projections or 1x1 convolutions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Generator, Tensor, nn

from medtap.adapters.adapter import Adapter, AttachedAdapter
from medtap.adapters.targets import choose_targets
from medtap.errors import OptionError, WeightsError

_PEFT_NAME = "tap"


@dataclass(frozen=True)
class Lora(Adapter):
    """LoRA of rank r: W x + (alpha / r) B A x.

    Attributes:
        rank: r, from 1.
        alpha: scale; the rank itself when None, as in the paper.
        dropout: share of inputs of A dropped in training.
        targets: which layers, see ``choose_targets``.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.1
    targets: str = "auto"
    name = "lora"

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                (f"a rank of at least 1, not {self.rank}", self.rank >= 1),
                (f"an alpha above 0, not {self.alpha}", self.alpha is None or self.alpha > 0),
                (f"a dropout in [0, 1), not {self.dropout}", 0 <= self.dropout < 1),
            )
            if not right
        ]
        if wrong:
            raise OptionError("LoRA cannot have these numbers", expected="; ".join(wrong))

    def attach(self, encoder: nn.Module) -> AttachedLora:
        """Attach in place to the encoder's target layers."""
        return AttachedLora(encoder, self)


class AttachedLora(AttachedAdapter):
    """LoRA attached to an encoder."""

    def __init__(self, encoder: nn.Module, lora: Lora) -> None:
        self._encoder = encoder
        self._frozen = {name: parameter.requires_grad for name, parameter in encoder.named_parameters()}
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.rank if lora.alpha is None else lora.alpha,  # type: ignore[arg-type]
            lora_dropout=lora.dropout,
            target_modules=_exactly(choose_targets(encoder, lora.targets)),
            bias="none",
        )
        self._tuner = LoraModel(encoder, config, _PEFT_NAME)
        self.train(False)

    def _named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, value) for name, value in self._encoder.named_parameters() if ".lora_" in name)

    def layers(self) -> dict[str, list[nn.Parameter]]:
        """The factors A and B of every target layer."""
        layers: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self._named_parameters():
            layers.setdefault(name.partition(".lora_")[0], []).append(parameter)
        return layers

    def reset(self, generator: Generator) -> None:
        """A: Kaiming uniform with a = sqrt 5, drawn on the CPU so that devices agree; B: zero."""
        with torch.no_grad():
            for name, parameter in self._named_parameters():
                fresh = torch.zeros(parameter.shape)
                if ".lora_A." in name:
                    nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=generator)
                parameter.copy_(fresh)

    def train(self, mode: bool = True) -> None:
        """Switch LoRA's dropout."""
        for name, module in self._encoder.named_modules():
            if name.endswith(f".lora_dropout.{_PEFT_NAME}"):
                module.train(mode)

    def merge(self) -> None:
        """Fold (alpha / r) B A into new weight tensors; the old tensors are left as they were."""
        self._tuner.merge_and_unload(safe_merge=True)
        self._restore_flags()

    def detach(self) -> None:
        """Take the factors off."""
        self._tuner.unload()
        self._restore_flags()

    def _restore_flags(self) -> None:
        for name, parameter in self._encoder.named_parameters():
            parameter.requires_grad_(self._frozen[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Factors by the layer's name, such as ``backbone.x.pwconv1.lora_A.weight``."""
        return {name.replace(f".{_PEFT_NAME}.", "."): value.detach() for name, value in self._named_parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take factors by the layer's name."""
        own = {name.replace(f".{_PEFT_NAME}.", "."): value for name, value in self._named_parameters()}
        wrong = sorted(own.keys() ^ state.keys()) or [n for n in own if own[n].shape != state[n].shape]
        if wrong:
            raise WeightsError(f"the LoRA factors do not fit the encoder, first at {wrong[0]!r}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])


def _exactly(names: list[str]) -> str:
    """A pattern of these names alone; a list of names would match every layer whose name ends in one."""
    return "|".join(re.escape(name) for name in names)
