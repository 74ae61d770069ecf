"""How Take a Peek adapts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medtap.annotators import refuse_unlike_hands
from medtap.augmentation import AUGMENTATIONS
from medtap.errors import OptionError
from medtap.precision import PRECISIONS

LOSSES = ("focal", "dice_ce")
SCHEDULES = ("per_pass", "per_group", "per_support")
RATES = ("learned", "even")
GUARDS = ("held_out", "held_out_masks", "none")


@dataclass(frozen=True)
class TapOptions:
    """How to adapt.

    Attributes:
        passes: T, how often every support image is a pseudo-query; 0 leaves the network unadapted.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        loss: ``dice_ce`` is Dice loss and cross-entropy; ``focal``, the paper's, weighs rare classes up. See
            `medtap.losses`.
        schedule: ``per_support`` steps after each pseudo-query (the paper's), ``per_pass`` after all of them together,
            ``per_group`` after each of the groups that a pass shares the support set out to at random.
        drawn: with ``per_pass``, so many supports drawn anew for each pseudo-query, so that cost grows with K, not its
            square; 0 takes all of the others.
        group: with ``per_group``, images that show a class of a group, at most where that leaves two for each; they are
            segmented by one another.
        rates: ``learned`` multiplies the learning rate of each layer by what the network learned for the adapter in
            meta-training, where it did; ``even`` does not.
        augment: with K > 1, what views of the support images are trained on, see ``augmented_views``: ``none``,
            ``upright``, ``mirrored`` or ``any``.
        views: with K = 1, views of the image that are pseudo-queries beside the image itself.
        disagreement: how far the masks are redrawn in every step as by other annotators, so that one hand's borders are
            not learnt, see `redrawn`; 0 leaves them alone.
        average: the last so many passes whose adapters are averaged; 0 keeps the last one.
        patience: stop after so many passes without a new least support loss; 0 runs all of them.
        guard: ``held_out`` and ``held_out_masks`` train on halves of the support set first, and keep the unadapted
            network, or double the change, where that segments the other half better, by probabilities or by masks, see
            `medtap.guard`; ``none`` does not.
        closing: under a guard, so many passes more over all of the support set, from the mean of the halves' adapters.
        forgiven: the Dice loss that an adapter may cost held-out images under a guard, for half of a support set
            teaches less than all of it.
        precision: of the passes, a name in `PRECISIONS`: ``auto`` is bfloat16 where the processor multiplies in it.
        seed: of the adapter's initial values, dropout, draws and views.
    """

    passes: int = 4
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    loss: str = "dice_ce"
    schedule: str = "per_pass"
    drawn: int = 0
    group: int = 6
    rates: str = "learned"
    augment: str = "none"
    views: int = 3
    disagreement: float = 0.0
    average: int = 0
    patience: int = 0
    guard: str = "held_out"
    closing: int = 2
    forgiven: float = 0.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, right in (
                (f"passes of at least 0, not {self.passes}", self.passes >= 0),
                (f"a learning rate above 0, not {self.learning_rate}", self.learning_rate > 0),
                (f"a weight decay of at least 0, not {self.weight_decay}", self.weight_decay >= 0),
                (f"a loss of {' or '.join(LOSSES)}, not {self.loss!r}", self.loss in LOSSES),
                (f"a schedule of {' or '.join(SCHEDULES)}, not {self.schedule!r}", self.schedule in SCHEDULES),
                (f"drawn of at least 0, not {self.drawn}", self.drawn >= 0),
                (f"a group of at least 2, not {self.group}", self.group >= 2),
                (f"rates of {' or '.join(RATES)}, not {self.rates!r}", self.rates in RATES),
                (f"augment of {', '.join(AUGMENTATIONS)}, not {self.augment!r}", self.augment in AUGMENTATIONS),
                (f"views of at least 0, not {self.views}", self.views >= 0),
                (f"a guard of {' or '.join(GUARDS)}, not {self.guard!r}", self.guard in GUARDS),
                (f"forgiven of at least 0, not {self.forgiven}", self.forgiven >= 0),
                (f"closing of at least 0, not {self.closing}", self.closing >= 0),
                (f"a precision of {', '.join(PRECISIONS)}, not {self.precision!r}", self.precision in PRECISIONS),
                (f"average of at least 0, not {self.average}", self.average >= 0),
                (f"patience of at least 0, not {self.patience}", self.patience >= 0),
                ("no patience where the last passes are averaged", not (self.patience and self.average)),
            )
            if not right
        ]
        if wrong:
            raise OptionError("options that cannot be adapted with", expected="; ".join(wrong))
        refuse_unlike_hands(self.disagreement)

    def of_as_many_steps(self, steps: int, part: int) -> TapOptions:
        """The options for a part of a support set that give it about as many steps as all of it, by those of a pass."""
        longer = steps / part
        return replace(self, passes=max(1, round(longer * self.passes)), average=round(longer * self.average))

    def steps_a_pass(self, shots: int, pictures: int = 0) -> int:
        """Optimizer steps of each pass over K support images, with those that show no class so many pictures in all."""
        if self.schedule == "per_pass":
            return 1
        if self.schedule == "per_group":
            return max(1, min(-(-shots // self.group), shots // 2))
        return max(pictures, shots) + (self.views if shots == 1 else 0)
