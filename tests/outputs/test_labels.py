"""What may become an 8-bit mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medtap.errors import OutputError
from medtap.outputs.labels import to_bytes

PATH = Path("mask.png")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_keeps_the_labels(dtype):
    labels = np.array([[0, 1], [1, 0]], dtype)
    assert to_bytes(labels, 2, PATH).dtype == np.uint8
    assert to_bytes(labels, 2, PATH).tolist() == [[0, 1], [1, 0]]


def test_an_empty_axis():
    assert to_bytes(np.zeros((0, 4)), 2, PATH).shape == (0, 4)


def test_refusals():
    with pytest.raises(OutputError, match="too many classes for an 8-bit mask; expected at most 255; found 256"):
        to_bytes(np.zeros((2, 2)), 2, PATH, most=256)
    with pytest.raises(OutputError, match=r"does not fit the file; expected 2 axes; found shape \(2, 2, 2\)"):
        to_bytes(np.zeros((2, 2, 2)), 2, PATH)
    with pytest.raises(
        OutputError, match=r"mask\.png: the label map holds unknown labels; expected 0 to 2; found 0 to 3"
    ):
        to_bytes(np.array([[0, 3]]), 2, PATH, most=2)
    with pytest.raises(OutputError, match="unknown labels"):
        to_bytes(np.array([[-1, 0]]), 2, PATH)
    with pytest.raises(OutputError, match="unknown labels"):
        to_bytes(np.array([[np.nan, 0]]), 2, PATH)
    with pytest.raises(OutputError, match="holds fractions; expected whole numbers; found float64"):
        to_bytes(np.array([[0.5, 0]]), 2, PATH)
