"""LoKr (Yeh et al., LyCORIS, ICLR 2024), peft's: the Kronecker product of a small and a low-rank matrix."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft, exactly
from medtap.adapters.low_rank import check_numbers, choose_low_rank
from medtap.adapters.targets import is_zero_padded


@dataclass(frozen=True)
class LoKr(Adapter):
    """LoKr of rank r: W + (alpha / r) C x (B A), x the Kronecker product, its sides about roots of W's.

    C is zero at the start. B A is one full matrix where r is at least half of its longer side.

    Attributes:
        rank: r, from 1.
        alpha: scale; the rank itself when None.
        targets: which layers, see ``choose_targets``.
    """

    rank: int = 8
    alpha: float | None = None
    targets: str = "auto"
    name = "lokr"

    def __post_init__(self) -> None:
        check_numbers("LoKr", self.rank, self.alpha)

    def attach(self, encoder: nn.Module) -> AttachedPeft:
        """Attach in place to the encoder's target layers."""
        from peft import LoKrConfig
        from peft.tuners.lokr import LoKrModel

        names = choose_low_rank(encoder, self.targets, self.rank, is_zero_padded)
        alpha = self.rank if self.alpha is None else self.alpha
        config = LoKrConfig(r=self.rank, alpha=alpha, target_modules=exactly(names))  # type: ignore[arg-type]
        return AttachedPeft(encoder, LoKrModel, config, {"lokr_w2", "lokr_w2_a", "lokr_w2_b"}, what="LoKr factors")
