"""Polygons and runs turned into masks."""

from __future__ import annotations

import numpy as np
import pytest

from medtap.pretraining.folds.segments import RunLengths, read_segments, unpacked


def drawn(segmentation, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for segment in read_segments(segmentation):
        segment.fill(mask)
    return mask


def packed(runs: list[int]) -> str:
    """COCO's compression, from its description: differences to the run before the last, from the fourth on."""
    text = ""
    for index, run in enumerate(runs):
        number = run - (runs[index - 2] if index > 2 else 0)
        while True:
            low, number = number & 31, number >> 5
            done = number == (-1 if low & 16 else 0)
            text += chr((low if done else low | 32) + 48)
            if done:
                break
    return text


def test_rectangle_holds_the_pixels_whose_centres_lie_within() -> None:
    mask = drawn([[2, 1, 5, 1, 5, 3, 2, 3]], (4, 6))
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = True
    assert np.array_equal(mask, expected)


def test_parts_of_an_object_are_united() -> None:
    mask = drawn([[0, 0, 1, 0, 1, 1, 0, 1], [3, 1, 4, 1, 4, 2, 3, 2]], (2, 4))
    assert np.argwhere(mask).tolist() == [[0, 0], [1, 3]]


def test_runs_go_down_the_columns() -> None:
    mask = drawn({"counts": [1, 2, 2, 1], "size": [3, 2]}, (3, 2))
    assert mask.astype(int).tolist() == [[0, 0], [1, 0], [1, 1]]


def test_published_compression_is_undone() -> None:
    assert unpacked("52203") == [5, 2, 2, 2, 5]


@pytest.mark.parametrize("seed", range(5))
def test_compressed_runs_are_what_was_packed(seed: int) -> None:
    runs = np.random.default_rng(seed).integers(1, 3000, 41).tolist()
    assert unpacked(packed(runs)) == runs
    shape = [sum(runs), 1]
    (segment,) = read_segments({"counts": packed(runs), "size": shape})
    assert isinstance(segment, RunLengths)
    assert segment.counts.tolist() == runs


def test_runs_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="runs that do not fill the image"):
        read_segments({"counts": [1, 2], "size": [3, 2]})
