"""LoHa (FedPara, Hyeon-Woo et al., ICLR 2022), peft's: the Hadamard product of two low-rank matrices."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft, exactly
from medtap.adapters.low_rank import check_numbers, choose_low_rank
from medtap.adapters.targets import is_zero_padded


@dataclass(frozen=True)
class LoHa(Adapter):
    """LoHa of rank r: W + (alpha / r) (A1 B1) * (A2 B2), of rank up to r^2 (proposition 1); B2 is zero at the start.

    Attributes:
        rank: r, from 1.
        alpha: scale; the rank itself when None.
        targets: which layers, see ``choose_targets``.
    """

    rank: int = 8
    alpha: float | None = None
    targets: str = "auto"
    name = "loha"

    def __post_init__(self) -> None:
        check_numbers("LoHa", self.rank, self.alpha)

    def attach(self, encoder: nn.Module) -> AttachedPeft:
        """Attach in place to the encoder's target layers."""
        from peft import LoHaConfig
        from peft.tuners.loha import LoHaModel

        names = choose_low_rank(encoder, self.targets, self.rank, is_zero_padded)
        alpha = self.rank if self.alpha is None else self.alpha
        config = LoHaConfig(r=self.rank, alpha=alpha, target_modules=exactly(names))  # type: ignore[arg-type]
        drawn = {"hada_w1_a", "hada_w1_b", "hada_w2_a"}
        return AttachedPeft(encoder, LoHaModel, config, drawn, what="LoHa factors")
