"""The contact sheet: its outlines lie on the regions' edges, its legend names the classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medtap.errors import SupportError
from medtap.report.contact_sheet import class_colour, contact_sheet

TILE, MARGIN, GAP = 256, 16, 10


def sheet_array(*arguments):
    return np.asarray(contact_sheet(*arguments)).astype(int)


def near(pixels, colour, tolerance=40):
    return np.abs(pixels - np.array(colour)).max(axis=-1) < tolerance


def tile(sheet, row=0, column=0):
    top, left = MARGIN + row * (TILE + GAP), MARGIN + column * (TILE + GAP)
    return sheet[top : top + TILE, left : left + TILE]


def square_mask(count=1, size=64, label=1):
    masks = torch.zeros(count, size, size, dtype=torch.int64)
    masks[:, 16:48, 16:48] = label
    return masks


def test_outline_runs_along_the_edge_and_only_there():
    found = near(tile(sheet_array(torch.full((1, 3, 64, 64), 0.5), square_mask(), ["a"])), class_colour(1))
    rows, columns = np.nonzero(found)
    for along in (rows, columns):
        assert (along.min(), along.max()) == pytest.approx((64, 192), abs=2)
    assert not found[72:184, 72:184].any()
    assert near(tile(sheet_array(torch.full((1, 3, 64, 64), 0.5), square_mask(), ["a"])), (128,) * 3, 3)[100, 100]


def test_each_class_has_its_colour_in_tile_and_legend():
    masks = square_mask(2)
    masks[1, 20:40, 20:40] = 2
    sheet = sheet_array(torch.zeros(2, 3, 64, 64), masks, ["one", "two"])
    assert near(tile(sheet, 0, 0), class_colour(1)).any()
    assert not near(tile(sheet, 0, 0), class_colour(2)).any()
    assert near(tile(sheet, 0, 1), class_colour(2)).any()
    legend = sheet[MARGIN + TILE + GAP :]
    for label in (1, 2):
        assert near(legend, class_colour(label), 3).sum() > 200


@pytest.mark.parametrize("where", ["one pixel", "whole image", "corner"])
def test_small_and_border_regions_are_outlined(where):
    masks = torch.zeros(1, 64, 64, dtype=torch.int64)
    region = {"one pixel": np.s_[0, 30, 30], "whole image": np.s_[0], "corner": np.s_[0, :3, :3]}[where]
    masks[region] = 1
    assert near(tile(sheet_array(torch.zeros(1, 3, 64, 64), masks, ["a"])), class_colour(1), 90).any()


def test_an_empty_mask_leaves_the_image_as_it_is():
    image = torch.rand(1, 3, TILE, TILE, generator=torch.Generator().manual_seed(0))
    sheet = sheet_array(image, torch.zeros(1, TILE, TILE, dtype=torch.int64), ["a"])
    assert np.array_equal(tile(sheet), (image[0] * 255).round().permute(1, 2, 0).numpy().astype(int))


def test_predictions_are_shaded():
    images, nothing = torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.int64)
    shaded = tile(sheet_array(images, nothing, ["a"], square_mask()))
    assert shaded[128, 128] == pytest.approx(0.35 * np.array(class_colour(1)), abs=2)
    assert shaded[10, 10].sum() == 0


@pytest.mark.parametrize(("shots", "columns", "rows"), [(1, 1, 1), (5, 5, 1), (6, 3, 2), (20, 5, 4)])
def test_grid(shots, columns, rows):
    sheet = contact_sheet(torch.zeros(shots, 3, 32, 32), torch.zeros(shots, 32, 32), ["a"])
    assert sheet.width == 2 * MARGIN + columns * (TILE + GAP) - GAP
    assert sheet.height // (TILE + GAP) == rows


def test_a_long_legend_takes_more_lines():
    images, masks = torch.zeros(1, 3, 32, 32), torch.zeros(1, 32, 32)
    few = contact_sheet(images, masks, ["a"])
    many = contact_sheet(images, masks, [f"a class of number {i}" for i in range(12)])
    assert many.height > few.height
    assert many.width == few.width


def test_colours_differ_beyond_the_palette():
    assert len({class_colour(label) for label in range(1, 31)}) == 30


def test_same_input_same_picture():
    arguments = (torch.zeros(2, 3, 64, 64), square_mask(2), ["a"])
    assert contact_sheet(*arguments).tobytes() == contact_sheet(*arguments).tobytes()


def test_refusals():
    images = torch.zeros(2, 3, 8, 8)
    with pytest.raises(SupportError, match=r"no images to show; expected \[K, 3, S, S\] with K > 0"):
        contact_sheet(images[:0], torch.zeros(0, 8, 8), ["a"])
    with pytest.raises(SupportError, match=r"masks do not fit the images; expected \(2, 8, 8\); found \(2, 8, 9\)"):
        contact_sheet(images, torch.zeros(2, 8, 9), ["a"])
    with pytest.raises(SupportError, match="predictions do not fit the images"):
        contact_sheet(images, torch.zeros(2, 8, 8), ["a"], torch.zeros(1, 8, 8))
