"""Cleaning of label maps by MONAI, class by class: the largest pieces alone, or without holes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, FillHoles, KeepLargestConnectedComponent

from medtap.options import refuse_unknown_choice
from medtap.record import AdaptationRecord
from medtap.support_shape import ClassShape

CLEANING = ("none", "largest", "holes", "both", "auto")

_MOST_PIECES = 2  # a class in more pieces than this has no number of pieces that is its own
_MASKS_TO_COUNT = 3  # fewer masks than this do not tell how many pieces a class may come in


def cleaning(clean: str, classes: int) -> list[Callable[[Any], Any]]:
    """The transforms of a way of cleaning, for label maps [1,H,W] or, in three dimensions, [1,X,Y,Z].

    Args:
        clean: ``none``; ``largest`` keeps each class's largest connected piece; ``holes`` fills what a class encloses;
            ``both`` does one after the other. Nothing for ``auto``, which is the matter of ``plane_cleaning``.
        classes: number of classes N.

    Raises:
        OptionError: no such way.
    """
    refuse_unknown_choice("unknown way of cleaning", clean, CLEANING)
    labels = list(range(1, classes + 1))
    steps: dict[str, Callable[[Any], Any]] = {
        "largest": _largest(labels),
        "holes": FillHoles(applied_labels=labels),
    }
    return [step for name, step in steps.items() if clean in (name, "both")]


def plane_cleaning(shapes: Sequence[ClassShape]) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """The transforms of ``auto``: what holds for a class in every support mask shall hold in every plane.

    Args:
        shapes: of labels 1 to N in the support masks.

    Returns:
        What cleans label maps [1,H,W] or [1,H,W,D] of planes along the last axis, since the support set is of planes;
        nothing where no class has anything to clean by.
    """
    steps: list[Callable[[Any], Any]] = []
    for label, shape in enumerate(shapes, start=1):
        pieces = pieces_of(shape)
        if pieces:
            steps.append(_largest([label], pieces))
        if not shape.holes:
            steps.append(FillHoles(applied_labels=[label]))
    return [_EachPlane(Compose(steps))] if steps else []


def _largest(labels: list[int], pieces: int = 1) -> KeepLargestConnectedComponent:
    return KeepLargestConnectedComponent(labels, is_onehot=False, independent=True, num_components=pieces)


def pieces_of(shape: ClassShape) -> int | None:
    """How many pieces a class may come in; None where the support masks are too few, or show too many, to tell.

    Holes are another matter: one mask shows a class to be solid, but not that there cannot be two of it.
    """
    return shape.components if shape.masks >= _MASKS_TO_COUNT and shape.components <= _MOST_PIECES else None


def cleaning_note(record: AdaptationRecord) -> list[str]:
    """What ``auto`` decided, or why it decided nothing, in a sentence for users."""
    if not record.shapes:
        found = f"the adapter, of medtap {record.medtap}, does not tell the shape of the support masks"
        return [f"{found}: masks are not cleaned; adapt again for --clean auto"]
    told = [f"{name}: {_decision(shape)}" for name, shape in zip(record.classes, record.shapes, strict=True)]
    return [f"masks are cleaned plane by plane as the support masks say; {'; '.join(told)}"]


def _decision(shape: ClassShape) -> str:
    pieces = pieces_of(shape)
    kept = [] if pieces is None else [f"at most {pieces} piece{'s' * (pieces > 1)} kept"]
    return " and ".join([*kept, *([] if shape.holes else ["holes filled"])]) or "left as it is"


class _EachPlane:
    """Does something with every plane of a label map that holds a class."""

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self.step = step

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels [1,H,W] or [1,H,W,D] of the same shape and type."""
        planes = labels.as_subclass(torch.Tensor).clone()
        for plane in planes.unbind(-1) if planes.ndim == 4 else [planes]:
            if plane.any():
                plane.copy_(torch.as_tensor(self.step(plane)))
        return MetaTensor(planes)
