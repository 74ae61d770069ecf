"""Cleaning of label maps by MONAI, class by class: the largest piece alone, or without holes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai.transforms import FillHoles, KeepLargestConnectedComponent

from medtap.options import refuse_unknown_choice

CLEANING = ("none", "largest", "holes", "both")


def cleaning(clean: str, classes: int) -> list[Callable[[Any], Any]]:
    """The transforms of a way of cleaning, for label maps [1,H,W] or, in three dimensions, [1,X,Y,Z].

    Args:
        clean: ``none``; ``largest`` keeps each class's largest connected piece; ``holes`` fills what a class encloses;
            ``both`` does one after the other.
        classes: number of classes N.

    Raises:
        OptionError: no such way.
    """
    refuse_unknown_choice("unknown way of cleaning", clean, CLEANING)
    labels = list(range(1, classes + 1))
    steps: dict[str, Callable[[Any], Any]] = {
        "largest": KeepLargestConnectedComponent(applied_labels=labels, is_onehot=False, independent=True),
        "holes": FillHoles(applied_labels=labels),
    }
    return [step for name, step in steps.items() if clean in (name, "both")]
