"""DoRA (Liu et al., ICML 2024), peft's: LoRA on the direction of weights, and their length on its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft
from medtap.adapters.lora import Lora, attach_lora
from medtap.adapters.low_rank import check_numbers


@dataclass(frozen=True)
class Dora(Adapter):
    """DoRA of rank r: m (W + (alpha / r) B A) / ||W + (alpha / r) B A||, lengths taken by output channel (equation 5).

    The lengths m start at those of W, B at zero. No gradient is sent through the norm (section 4.3).

    Attributes:
        rank: r, from 1.
        alpha: scale; the rank itself when None.
        dropout: share of inputs of A dropped in training.
        targets: which layers, as in ``Lora``.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    targets: str = "auto"
    name = "dora"

    def __post_init__(self) -> None:
        check_numbers("DoRA", self.rank, self.alpha, self.dropout)

    def attach(self, encoder: nn.Module) -> AttachedPeft:
        """Attach in place to the encoder's target layers."""
        return attach_lora(encoder, Lora(self.rank, self.alpha, self.dropout, self.targets), use_dora=True)
