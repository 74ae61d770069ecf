"""How an adapter is trained on a folder of annotated images, and the settings of the papers by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from medtap.errors import OptionError
from medtap.finetuning.losses import LOSSES
from medtap.options import fill, refuse_unknown_choice

OPTIMISERS = ("adam", "adamw")


@dataclass(frozen=True)
class FinetuneOptions:
    """How to train.

    Attributes:
        epochs: how often every image is seen.
        batch_size: images of an optimizer step, in each process.
        optimiser: ``adam`` or ``adamw``.
        learning_rate: at the start.
        orchestration_rate: another learning rate for the coefficients, relations and quaternion maps of ``cobot``.
        weight_decay: of the optimiser.
        power: the learning rate falls to zero as (1 - step / steps) ** power; 0 keeps it.
        loss: ``structure`` (one class), ``bce_dice`` or ``dice_ce``; None for ``structure`` of one class and
            ``dice_ce`` of several.
        flips: whether images are mirrored at random, from left to right.
        held_out: share of the images that is not trained on and chooses the best epoch.
        seed: of the adapter's initial values, the images held out, their order, dropout and flips.
    """

    epochs: int = 20
    batch_size: int = 4
    optimiser: str = "adamw"
    learning_rate: float = 1e-4
    orchestration_rate: float | None = None
    weight_decay: float = 1e-4
    power: float = 1.0
    loss: str | None = None
    flips: bool = True
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        rates = [rate for rate in (self.learning_rate, self.orchestration_rate) if rate is not None]
        wrong = [
            text
            for text, right in (
                (f"at least 1 epoch, not {self.epochs}", self.epochs >= 1),
                (f"a batch of at least 1, not {self.batch_size}", self.batch_size >= 1),
                (f"an optimiser of {' or '.join(OPTIMISERS)}, not {self.optimiser!r}", self.optimiser in OPTIMISERS),
                (f"learning rates above 0, not {min(rates)}", min(rates) > 0),
                (f"a weight decay of at least 0, not {self.weight_decay}", self.weight_decay >= 0),
                (f"a power of at least 0, not {self.power}", self.power >= 0),
                (f"a loss of {', '.join(LOSSES)}, not {self.loss!r}", self.loss is None or self.loss in LOSSES),
                (f"a share held out between 0 and 1, not {self.held_out}", 0 < self.held_out < 1),
                (f"a seed of at least 0, not {self.seed}", self.seed >= 0),
            )
            if not right
        ]
        if wrong:
            raise OptionError("options that cannot be trained with", expected="; ".join(wrong))

    def loss_for(self, classes: int) -> str:
        """The name of the loss for so many classes.

        Raises:
            OptionError: the structure loss is asked for and there is more than one.
        """
        if self.loss == "structure" and classes > 1:
            raise OptionError(
                "the structure loss is of one class", found=f"{classes} classes", remedy="take dice_ce or bce_dice"
            )
        return self.loss or ("structure" if classes == 1 else "dice_ce")


RECIPES: dict[str, Mapping[str, Any]] = {
    "conv_lora": MappingProxyType({}),
    "cobot": MappingProxyType(
        {"optimiser": "adam", "weight_decay": 0.0, "power": 0.0, "loss": "bce_dice", "flips": False}
    ),
    "cobot_medical": MappingProxyType(
        {"optimiser": "adam", "weight_decay": 0.0, "power": 0.0, "loss": "bce_dice", "flips": False}
        | {"learning_rate": 1.25e-6, "orchestration_rate": 1.25e-4}
    ),
}
"""What differs from the defaults, which are Conv-LoRA's (Zhong et al., ICLR 2024, appendix): AdamW, 1e-4, weight decay
1e-4, polynomial decay, flips. ``cobot`` is SAM-COBOT's (Peng et al., CVPR 2024) for everyday images, ``cobot_medical``
for medical ones. Epochs and batches are medtap's."""


def use_recipe(name: str, **options: Any) -> FinetuneOptions:
    """The options of a recipe.

    Args:
        name: of the recipe.
        options: replace the recipe's; those of None do not.

    Raises:
        OptionError: the recipe or an option is unknown, or a value is refused.
    """
    refuse_unknown_choice(f"no recipe is called {name!r}", name, RECIPES)
    given = {option: value for option, value in options.items() if value is not None}
    return fill(FinetuneOptions, {**RECIPES[name], **given})
