"""One picture of a support set: every image with the outlines of its classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.measure import find_contours

from medtap.errors import SupportError

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]
Entry = tuple[float, Colour | None, str]

# Okabe and Ito's colours, told apart with any colour vision; the ones that skin and X-rays do not have come first.
_PALETTE: tuple[Colour, ...] = (
    (64, 196, 255),
    (255, 176, 0),
    (0, 190, 130),
    (240, 228, 66),
    (226, 120, 190),
    (230, 90, 20),
    (90, 110, 230),
)
_TILE = 256
_GAP = 10
_MARGIN = 16
_SWATCH = 16
_LINE = 26
_FINER = 3  # outlines are drawn this many times larger, then reduced, which smooths their edges
_STROKE, _HALO = 3, 6  # half widths on the finer tile
_SHADE = 0.35
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


def class_colour(label: int) -> Colour:
    """The colour of a class, the same on every figure.

    Args:
        label: 1..N; after the palette's end, hues that are far from each other.
    """
    if label <= len(_PALETTE):
        return _PALETTE[label - 1]
    hue = (label * 0.618034) % 1
    red, green, blue = (round(255 * (0.6 + 0.4 * math.cos(2 * math.pi * (hue + shift)))) for shift in (0, 1 / 3, 2 / 3))
    return red, green, blue


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
    tile = Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
    for label in range(1, classes + 1):
        if predicted is not None:
            tile = _shade(tile, (predicted == label).cpu().numpy(), class_colour(label))
    contours = [(label, c) for label in range(1, classes + 1) for c in _contours((mask == label).cpu().numpy())]
    strokes = [((0, 0, 0, 150), _HALO, points) for _, points in contours]
    strokes += [((*class_colour(label), 255), _STROKE, points) for label, points in contours]
    outlines = _draw_strokes(strokes)
    tile.paste(outlines.convert("RGB"), mask=outlines.getchannel("A"))
    return tile


def _draw_strokes(strokes: Sequence[tuple[tuple[int, ...], int, Points]]) -> Image.Image:
    """Lines of a colour and half a width with round joints, later ones on top, at a tile's size (RGBA)."""
    drawing = Image.new("RGBA", (_TILE * _FINER, _TILE * _FINER))
    draw = ImageDraw.Draw(drawing)
    for colour, radius, points in strokes:
        draw.line(points, fill=colour, width=2 * radius + 1)
        for point in points:
            draw.circle(point, radius, fill=colour)
    return drawing.reduce(_FINER)


def _shade(tile: Image.Image, region: np.ndarray, colour: Colour) -> Image.Image:
    cover = Image.fromarray(region.astype(np.uint8) * round(255 * _SHADE)).resize(tile.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", tile.size, colour), tile, cover)


def _contours(region: np.ndarray) -> list[Points]:
    """The closed outlines of a region, as (x, y) on the finer tile; also where it touches the image's border."""
    finer = np.array([_TILE * _FINER / n for n in region.shape])
    limit = np.array([_TILE * _FINER - 1.0] * 2)
    outlines = []
    for contour in find_contours(np.pad(region.astype(np.float32), 1), 0.5):
        points = np.clip((_smooth(contour[:-1]) - 0.5) * finer, 0, limit)
        closed = np.concatenate([points, points[:1]])
        outlines.append([(float(x), float(y)) for y, x in closed])
    return outlines


def _smooth(points: np.ndarray) -> np.ndarray:
    """Round off the pixels' steps along a closed outline, except where it is so short that nothing would be left."""
    return ndimage.uniform_filter1d(points, 5, axis=0, mode="wrap") if len(points) > 24 else points


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
