"""PNG masks, read back by another library."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import io

from medtap.errors import OutputError
from medtap.outputs import write_png_mask


def test_one_class_is_black_and_white(tmp_path):
    labels = np.eye(5, 7, dtype=np.int64)
    write_png_mask(labels, tmp_path / "a" / "mask.png", classes=1)
    read = io.imread(tmp_path / "a" / "mask.png")
    assert read.dtype == np.uint8
    assert np.array_equal(read, labels * 255)


def test_several_classes_are_their_labels(tmp_path):
    labels = np.arange(12).reshape(3, 4) % 4
    write_png_mask(labels, tmp_path / "mask.png", classes=3)
    assert np.array_equal(io.imread(tmp_path / "mask.png"), labels)


def test_same_labels_give_the_same_bytes(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, (64, 48))
    for name in ("a.png", "b.png"):
        write_png_mask(labels, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_one_pixel(tmp_path):
    write_png_mask(np.ones((1, 1), bool), tmp_path / "mask.png")
    assert io.imread(tmp_path / "mask.png").tolist() == [[255]]


def test_refuses_labels_beyond_the_classes(tmp_path):
    with pytest.raises(OutputError, match=r"unknown labels; expected 0 to 1; found 0 to 2"):
        write_png_mask(np.array([[0, 2]]), tmp_path / "mask.png", classes=1)
    assert list(tmp_path.iterdir()) == []
