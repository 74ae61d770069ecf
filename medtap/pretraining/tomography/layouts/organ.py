"""An organ of a layout, and copies of it."""

from __future__ import annotations

import math
from typing import NamedTuple


class Organ(NamedTuple):
    """An egg- or bean-shaped part of a layout in a frame of half widths, y downwards; later ones lie on top."""

    name: str
    tissue: str
    y: float
    x: float
    height: float
    width: float
    turn: float = 0.0


def pair(organ: Organ) -> tuple[Organ, Organ]:
    """An organ and its mirror image on the other side."""
    return organ, organ._replace(name=organ.name + " mirrored", x=-organ.x, turn=-organ.turn)


def ring(organ: Organ, count: int, height: float, width: float, first: float = 0.0) -> tuple[Organ, ...]:
    """Copies of an organ around an ellipse of these half axes, each along the ellipse."""
    angles = [first + 2 * math.pi * index / count for index in range(count)]
    return tuple(
        organ._replace(y=organ.y + height * math.sin(a), x=organ.x + width * math.cos(a), turn=a + math.pi / 2)
        for a in angles
    )


def column(organ: Organ, count: int, step: float) -> tuple[Organ, ...]:
    """Copies of an organ one below the other."""
    return tuple(organ._replace(y=organ.y + step * index) for index in range(count))
