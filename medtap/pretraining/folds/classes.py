"""Which classes a fold keeps for testing, as the literature splits them. Labels count from 1; 0 is background."""

from __future__ import annotations

from types import MappingProxyType

FOLDS = 4
CLASSES = MappingProxyType({"pascal": 20, "coco": 80})
"""Object classes by layout; COCO's in the order of their category ids."""


def novel_classes(layout: str, fold: int) -> frozenset[int]:
    """The labels of a fold's test classes.

    Pascal-5i (Shaban et al., BMVC 2017): fold i tests on 5i + 1 to 5i + 5. COCO-20i (Nguyen and Todorovic, ICCV 2019):
    every fourth class from i + 1 on.

    Args:
        layout: ``pascal`` or ``coco``.
        fold: i, from 0 to 3.
    """
    if layout == "coco":
        return frozenset(range(fold + 1, CLASSES["coco"] + 1, FOLDS))
    size = CLASSES["pascal"] // FOLDS
    return frozenset(range(size * fold + 1, size * (fold + 1) + 1))


def base_classes(layout: str, fold: int) -> frozenset[int]:
    """The labels of the classes that a fold trains on: all but its test classes."""
    return frozenset(range(1, CLASSES[layout] + 1)) - novel_classes(layout, fold)
