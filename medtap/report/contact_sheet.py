"""One picture of a support set: every image with the outlines of its classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont

from medtap.errors import SupportError
from medtap.report.overlay import Colour, class_colour, draw_overlay

Entry = tuple[float, Colour | None, str]

_TILE = 256
_GAP = 10
_MARGIN = 16
_SWATCH = 16
_LINE = 26
_INK = (32, 36, 42)


def contact_sheet(
    images: torch.Tensor,
    masks: torch.Tensor,
    classes: Sequence[str],
    predictions: torch.Tensor | None = None,
) -> Image.Image:
    """Draw images on a grid, each with its classes outlined, and a legend of the class names below.

    There are no file names, numbers or dates on it.

    Args:
        images: [K, 3, S, S] in [0, 1].
        masks: [K, S, S] labels 0..N, drawn as outlines.
        classes: the names of the labels 1..N.
        predictions: [K, S, S] labels 0..N, drawn as shading under the outlines.

    Returns:
        An RGB picture on white, its tiles 256 px wide.

    Raises:
        SupportError: there are no images, or the shapes do not go together.
    """
    _check_shapes(images, masks, predictions)
    shaded = [None] * len(images) if predictions is None else list(predictions)
    tiles = [_draw_tile(*parts, len(classes)) for parts in zip(images, masks, shaded, strict=True)]
    columns = _columns(len(tiles))
    rows = math.ceil(len(tiles) / columns)
    width = 2 * _MARGIN + columns * (_TILE + _GAP) - _GAP
    legend = _lay_legend(classes, predictions is not None, width - 2 * _MARGIN)
    top = _MARGIN + rows * (_TILE + _GAP)
    sheet = Image.new("RGB", (width, top + len(legend) * _LINE + _MARGIN), "white")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (_MARGIN + column * (_TILE + _GAP), _MARGIN + row * (_TILE + _GAP)))
    _draw_legend(sheet, legend, top)
    return sheet


def _check_shapes(images: torch.Tensor, masks: torch.Tensor, predictions: torch.Tensor | None) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise SupportError("no images to show", expected="[K, 3, S, S] with K > 0", found=str(tuple(images.shape)))
    grid = (len(images), *images.shape[2:])
    for name, labels in (("masks", masks), ("predictions", predictions)):
        if labels is not None and tuple(labels.shape) != grid:
            raise SupportError(f"the {name} do not fit the images", expected=str(grid), found=str(tuple(labels.shape)))


def _columns(tiles: int) -> int:
    """Up to five in one row, then nearly square and a little wide."""
    return tiles if tiles <= 5 else min(5, math.ceil(math.sqrt(tiles * 1.3)))


def _draw_tile(image: torch.Tensor, mask: torch.Tensor, predicted: torch.Tensor | None, classes: int) -> Image.Image:
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    shaded = None if predicted is None else predicted.cpu().numpy()
    return draw_overlay(pixels, (_TILE, _TILE), classes, outlined=mask.cpu().numpy(), shaded=shaded)


def _lay_legend(classes: Sequence[str], predicted: bool, width: int) -> list[list[Entry]]:
    """Lines of (x, colour, text) that fit into a width; a text of its own without a colour."""
    entries: list[tuple[Colour | None, str]] = [(class_colour(i), name) for i, name in enumerate(classes, start=1)]
    if predicted:
        entries.append((None, "line: truth, shading: prediction"))
    lines: list[list[Entry]] = [[]]
    x = 0.0
    for colour, text in entries:
        needed = (_SWATCH + 8 if colour else 0) + _font().getlength(text) + 22
        if lines[-1] and x + needed - 22 > width:
            lines.append([])
            x = 0.0
        lines[-1].append((x, colour, text))
        x += needed
    return lines


def _draw_legend(sheet: Image.Image, lines: list[list[Entry]], top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        middle = top + number * _LINE + _LINE / 2
        for x, colour, text in line:
            left = _MARGIN + x
            if colour:
                box = (left, middle - _SWATCH / 2, left + _SWATCH, middle + _SWATCH / 2)
                draw.rounded_rectangle(box, radius=4, fill=colour)
                left += _SWATCH + 8
            draw.text((left, middle), text, fill=_INK, font=_font(), anchor="lm")


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=15)
