"""One picture with label maps drawn onto it: outlined, shaded or both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.measure import find_contours

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

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
_FINER = 3  # outlines are drawn this many times larger, then reduced, which smooths their edges
_STROKE, _HALO = 3, 6  # half widths on the finer picture
_SHADE = 0.35


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


def draw_overlay(
    pixels: np.ndarray,
    size: tuple[int, int],
    classes: int,
    *,
    outlined: np.ndarray | None = None,
    shaded: np.ndarray | None = None,
) -> Image.Image:
    """Draw label maps onto a picture, each class in its colour.

    Args:
        pixels: [h, w, 3] uint8.
        size: width and height of the drawing in pixels; the picture is stretched to it.
        classes: number of classes N.
        outlined: [h', w'] labels 0..N, drawn as lines with a dark rim.
        shaded: [h', w'] labels 0..N, drawn as a translucent colour below the lines.
    """
    tile = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    for label in range(1, classes + 1):
        if shaded is not None:
            tile = _shade(tile, shaded == label, class_colour(label))
    if outlined is not None:
        _outline(tile, outlined, classes)
    return tile


def _outline(tile: Image.Image, labels: np.ndarray, classes: int) -> None:
    contours = [(label, c) for label in range(1, classes + 1) for c in _contours(labels == label, tile.size)]
    strokes = [((0, 0, 0, 150), _HALO, points) for _, points in contours]
    strokes += [((*class_colour(label), 255), _STROKE, points) for label, points in contours]
    outlines = _draw_strokes(strokes, tile.size)
    tile.paste(outlines.convert("RGB"), mask=outlines.getchannel("A"))


def _draw_strokes(strokes: Sequence[tuple[tuple[int, ...], int, Points]], size: tuple[int, int]) -> Image.Image:
    """Lines of a colour and half a width with round joints, later ones on top, at a tile's size (RGBA)."""
    drawing = Image.new("RGBA", (size[0] * _FINER, size[1] * _FINER))
    draw = ImageDraw.Draw(drawing)
    for colour, radius, points in strokes:
        draw.line(points, fill=colour, width=2 * radius + 1)
        for point in points:
            draw.circle(point, radius, fill=colour)
    return drawing.reduce(_FINER)


def _shade(tile: Image.Image, region: np.ndarray, colour: Colour) -> Image.Image:
    cover = Image.fromarray(region.astype(np.uint8) * round(255 * _SHADE)).resize(tile.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", tile.size, colour), tile, cover)


def _contours(region: np.ndarray, size: tuple[int, int]) -> list[Points]:
    """The closed outlines of a region, as (x, y) on the finer picture; also where it touches the image's border."""
    target = np.array(size[::-1]) * _FINER
    outlines = []
    for contour in find_contours(np.pad(region.astype(np.float32), 1), 0.5):
        points = np.clip((_smooth(contour[:-1]) - 0.5) * (target / region.shape), 0, target - 1.0)
        closed = np.concatenate([points, points[:1]])
        outlines.append([(float(x), float(y)) for y, x in closed])
    return outlines


def _smooth(points: np.ndarray) -> np.ndarray:
    """Round off the pixels' steps along a closed outline, except where it is so short that nothing would be left."""
    return ndimage.uniform_filter1d(points, 5, axis=0, mode="wrap") if len(points) > 24 else points
