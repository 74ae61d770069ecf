"""Training an adapter on a folder of annotated images, the ordinary way: MONAI's trainer, no pseudo-queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medtap.processes import join_processes
from medtap.workflows.finetune.parts import FinetuneParts
from medtap.workflows.finetune.training_run import TrainingRun

__all__ = ["FinetuneParts", "finetune", "training_handler"]


def finetune(images: str | Path, masks: str | Path | None, out: str | Path, **how: Any) -> Path:
    """Train an adapter (LoRA, Conv-LoRA, COBOT, ...) and a network's head on annotated images.

    A share of the images is held out; the adapter of the epoch that segments them best is written as
    ``AdaptedSegmenter.save`` does, for ``load_adapted`` and ``medtap predict``, with ``training.csv`` beside it. A run
    that was killed goes on after its last whole epoch, to the very same result. Under ``torchrun`` each process trains
    on its share.

    Args:
        images: a folder, or a CSV of images and masks.
        masks: folder of their masks; None where a CSV names them.
        out: the folder to write.
        how: as `FinetuneParts` takes it.

    Returns:
        The folder.

    Raises:
        MedtapError: an option, input or output is refused, or the loss is not a number.
    """
    join_processes()
    parts = FinetuneParts(images, masks, out, **how)
    parts.trainer.run()
    return parts.out


def training_handler(parts: FinetuneParts) -> TrainingRun:
    """The handler of a training, under a name that a bundle's config can instantiate."""
    return parts.run
