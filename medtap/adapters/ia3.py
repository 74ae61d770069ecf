"""(IA)^3 (Liu et al., NeurIPS 2022), peft's: one learnt factor for each output channel."""

from __future__ import annotations

from dataclasses import dataclass

from peft import IA3Config
from peft.tuners.ia3 import IA3Model
from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft, exactly
from medtap.adapters.targets import choose_targets, is_linear_or_convolution


@dataclass(frozen=True)
class Ia3(Adapter):
    """(IA)^3: l (W x + b) with one factor of l, 1 at the start, for each output channel.

    The paper (section 3.3) scales keys, values and hidden activations of feed-forward layers; here every target layer.

    Attributes:
        targets: which layers, see ``choose_targets``.
    """

    targets: str = "auto"
    name = "ia3"

    def attach(self, encoder: nn.Module) -> AttachedPeft:
        """Attach in place to the encoder's target layers."""
        names = choose_targets(encoder, self.targets, is_linear_or_convolution)
        config = IA3Config(target_modules=exactly(names), feedforward_modules=[])
        return AttachedPeft(encoder, IA3Model, config, drawn=frozenset(), what="IA3 factors")
