"""LoRA (Hu et al., ICLR 2022), peft's, as Take a Peek uses it: on attention projections or 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft, exactly
from medtap.adapters.folded_lora import fold_factors
from medtap.adapters.low_rank import check_numbers, choose_low_rank
from medtap.adapters.targets import is_pointwise, is_zero_padded
from medtap.networks.segmenter import FewShotSegmenter


@dataclass(frozen=True)
class Lora(Adapter):
    """LoRA of rank r: W x + (alpha / r) B A x, A drawn and B zero at the start.

    Attributes:
        rank: r, from 1.
        alpha: scale; the rank itself when None, as in the paper.
        dropout: share of inputs of A dropped in training.
        targets: which layers, see ``choose_targets``; ``re:`` searches Linear layers and 1x1 convolutions alone.
    """

    rank: int = 16
    alpha: float | None = None
    dropout: float = 0.0
    targets: str = "auto"
    name = "lora"

    def __post_init__(self) -> None:
        check_numbers("LoRA", self.rank, self.alpha, self.dropout)

    @property
    def scale(self) -> float:
        """What B A x is multiplied by, alpha / r."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    def suited(self, network: FewShotSegmenter) -> Lora:
        """At the place that the network was meta-trained to be adapted at, where targets are ``auto``."""
        return replace(self, targets=network.targets) if self.targets == "auto" else self

    def attach(self, encoder: nn.Module) -> AttachedPeft:
        """Attach in place to the encoder's target layers."""
        return attach_lora(encoder, self, target_layers(encoder, self))

    def fold(self, encoder: nn.Module, values: Mapping[str, Tensor]) -> None:
        """Give the encoder's target layers in place the factors of another time, without peft."""
        fold_factors(encoder, target_layers(encoder, self), self.rank, self.scale, values)


def attach_lora(encoder: nn.Module, lora: Lora, names: list[str], use_dora: bool = False) -> AttachedPeft:
    """Attach peft's LoRA, or its variant DoRA, in place to the named layers of an encoder."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.rank if lora.alpha is None else lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=exactly(names),
        bias="none",
        use_dora=use_dora,
    )
    return AttachedPeft(encoder, LoraModel, config, drawn={"lora_A"}, what=f"{'DoRA' if use_dora else 'LoRA'} factors")


def target_layers(encoder: nn.Module, lora: Lora) -> list[str]:
    """Names of the layers that LoRA changes.

    Raises:
        OptionError: the targets match no layer, or the rank is above what any of them can have.
    """
    changed = is_pointwise if lora.targets.startswith("re:") else can_change
    return choose_low_rank(encoder, lora.targets, lora.rank, changed)


def can_change(layer: nn.Module) -> bool:
    """Whether peft's LoRA computes a layer right: Linear or a dense convolution that pads with zeros, undilated."""
    if isinstance(layer, nn.Conv2d) and not is_pointwise(layer):
        return layer.groups == 1 and layer.dilation == (1, 1) and is_zero_padded(layer)
    return is_zero_padded(layer)
