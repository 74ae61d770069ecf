"""DoRA (Liu et al., ICML 2024), peft's: LoRA on the direction of weights, and their length on its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_peft import AttachedPeft
from medtap.adapters.lora import Lora, attach_lora, target_layers
from medtap.adapters.low_rank import check_numbers
from medtap.errors import OptionError


@dataclass(frozen=True)
class Dora(Adapter):
    """DoRA of rank r: m (W + (alpha / r) B A) / ||W + (alpha / r) B A||, lengths taken by output channel (equation 5).

    The lengths m start at those of W, B at zero. No gradient is sent through the norm (section 4.3). A layer with an
    output channel of no length, as pruned ones are, stays as it is: zeros have no direction.

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
        """Attach in place to the encoder's target layers.

        Raises:
            OptionError: the targets match no layer all of whose output channels have a length.
        """
        lora = Lora(self.rank, self.alpha, self.dropout, self.targets)
        targets = target_layers(encoder, lora)
        names = [name for name in targets if _has_directions(encoder.get_submodule(name))]
        if not names:
            found = f"a channel of zeros in each of {', '.join(targets)}"
            raise OptionError("DoRA has no layer to change", expected="output channels of weights", found=found)
        return attach_lora(encoder, lora, names, use_dora=True)


def _has_directions(layer: nn.Module) -> bool:
    """Whether each output channel has a length; weights that are shapes alone may have one."""
    weight = layer.get_parameter("weight")
    return weight.is_meta or bool(weight.flatten(1).any(1).all())
