"""Which classes a fold trains on."""

from __future__ import annotations

import pytest

from medtap.pretraining.folds import base_classes, novel_classes


@pytest.mark.parametrize(
    ("layout", "fold", "novel"),
    [
        ("pascal", 0, {1, 2, 3, 4, 5}),
        ("pascal", 3, {16, 17, 18, 19, 20}),
        ("coco", 0, {1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 49, 53, 57, 61, 65, 69, 73, 77}),
        ("coco", 3, {4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76, 80}),
    ],
)
def test_folds_are_those_of_the_literature(layout: str, fold: int, novel: set[int]) -> None:
    assert novel_classes(layout, fold) == novel


@pytest.mark.parametrize(("layout", "count"), [("pascal", 20), ("coco", 80)])
def test_every_class_is_tested_in_one_fold(layout: str, count: int) -> None:
    folds = [novel_classes(layout, fold) for fold in range(4)]
    assert sorted(label for fold in folds for label in fold) == list(range(1, count + 1))
    for fold in range(4):
        assert base_classes(layout, fold) == set(range(1, count + 1)) - folds[fold]
