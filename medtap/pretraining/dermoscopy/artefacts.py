"""What else lies on the skin or the glass: ink, glints, rulers, stickers, the rim of the view, text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.chance import pick, uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.dermoscopy.layer import Layer, colour_near
from medtap.pretraining.dermoscopy.lesion import Lesion
from medtap.pretraining.scenes import coordinates

_STICKERS = torch.tensor(
    [
        [0.1, 0.3, 0.7],
        [0.1, 0.55, 0.3],
        [0.9, 0.8, 0.2],
        [0.8, 0.2, 0.2],
        [0.9, 0.5, 0.1],
        [0.95, 0.95, 0.95],
        [0.1] * 3,
    ]
)
_INKS = [[0.10, 0.10, 0.10], [0.10, 0.10, 0.10], [0.95, 0.95, 0.95]]
_PENS = [[0.38, 0.25, 0.55], [0.20, 0.30, 0.65], [0.15, 0.15, 0.20]]
_FRAMES = [[0.03, 0.03, 0.03]] * 9 + [[0.95, 0.95, 0.95]]
_GLINT = [[0.95, 0.94, 0.93]]


def draw_pen(lesion: Lesion, cohort: Cohort) -> Layer:
    """A surgeon's violet or blue line around part of the lesion."""
    distance = (lesion.depth + cohort.free(0.2, 0.7) + 0.08 * cohort.noise(3)).abs()
    line = torch.sigmoid((cohort.free(0.02, 0.08) - distance) / 0.012) * torch.sigmoid(5 * (cohort.noise(2) - 0.2))
    return cohort.shown(0.12) * cohort.free(0.4, 0.9) * line, colour_near(_PENS, 0.1, cohort)


def draw_reflections(cohort: Cohort) -> Layer:
    """Glints of the immersion fluid and the bright rims of bubbles in it."""
    glints = torch.sigmoid(14 * (cohort.noise(cohort.between(16, 64)) - cohort.free(2.3, 3.0)))
    centre, radius = uniform(-0.9, 0.9, (cohort.n, 2, 1, 1), cohort.generator), cohort.free(0.03, 0.16)
    distance = torch.hypot(*(coordinates(cohort.size)[None] - centre).unbind(1)) - radius
    bubble = (-((distance * cohort.size / 3) ** 2)).exp() + 0.15 * (distance < 0)
    opacity = cohort.shown(0.35) * cohort.free(0.3, 0.95) * glints + cohort.shown(0.2) * cohort.free(0.2, 0.7) * bubble
    return opacity, colour_near(_GLINT, 0.05, cohort)


def draw_ruler(cohort: Cohort) -> Layer:
    """Tick scale along an edge, every fifth tick longer, with or without a base line."""
    across, along = _edge(cohort)
    across, pitch = across - cohort.free(0, 0.15), cohort.blend(0.05, 0.2)
    number = along / pitch + cohort.free(0, 1)
    length = cohort.blend(0.04, 0.14) * (1 + (number.round() % 5 == 0))
    tick = ((number - number.round()).abs() * pitch * cohort.size < 1.6) & (across > 0) & (across < length)
    line = cohort.shown(0.4) * (across.abs() * cohort.size < 1.6)
    return cohort.shown(0.2) * cohort.free(0.5, 1) * (tick + line), colour_near(_INKS, 0.1, cohort)


def draw_sticker(cohort: Cohort, always: bool) -> Layer:
    """A coloured disk or rectangle reaching in from an edge, with the device's or the colour chart's colours."""
    across, along = _edge(cohort)
    centre, radius = cohort.free(-0.1, 0.15), cohort.blend(0.22, 0.6)
    along = (along - cohort.free(0.1, 1.9)).abs()
    disk = torch.hypot(across - centre, along) - radius
    box = torch.maximum(across - centre, along * cohort.free(0.5, 1)) - 0.7 * radius
    edge = torch.where(cohort.free(0, 1) < cohort.between(0, 1), disk, box) * cohort.size
    index = torch.randint(0, len(_STICKERS), (cohort.n,), generator=cohort.generator)
    if pick(0, 1, cohort.generator):
        index[:] = index[0]
    colour = _STICKERS[index] + uniform(-0.08, 0.08, (cohort.n, 3), cohort.generator)
    shown = torch.ones(cohort.n, 1, 1) if always else cohort.shown(0.15)
    return shown * torch.sigmoid(-edge / cohort.free(0.4, 2)), colour.clamp(0, 1)[..., None, None]


def draw_frame(plane: Tensor, cohort: Cohort, always: bool) -> Layer:
    """What lies outside a round field of view, or bars beside a rectangular one: black, rarely white."""
    y, x = plane[:, 0] - cohort.free(-0.1, 0.1), plane[:, 1] - cohort.free(-0.1, 0.1)
    radius = cohort.blend(0.8, 1.15 if always else 1.45)
    beyond = torch.hypot(y, x) - radius
    if pick(0, 4, cohort.generator) == 0:
        beyond = torch.maximum(y.abs() * cohort.between(0.8, 1.0), x.abs()) - 0.8 * radius
    shown = torch.ones(cohort.n, 1, 1) if always else cohort.shown(0.4)
    softness = cohort.blend(0.004, 0.15) ** 1.3
    return shown * torch.sigmoid((beyond - 2 * softness) / softness), colour_near(_FRAMES, 0.03, cohort)


def draw_text(cohort: Cohort) -> Layer:
    """A line of letter-like specks near an edge."""
    across, along = _edge(cohort)
    glyph = 3 * max(1, cohort.size // 128)
    count = cohort.size // glyph + 1
    specks = torch.rand((cohort.n, 1, count, count), generator=cohort.generator) > 0.45
    letters = F.interpolate(specks.float(), scale_factor=glyph)[:, 0, : cohort.size, : cohort.size]
    top, start = cohort.free(0.03, 0.2), cohort.free(0, 1.4)
    line = (across > top) & (across < top + 0.07) & (along > start) & (along < start + cohort.free(0.2, 0.8))
    return cohort.shown(0.06) * line * letters, colour_near(_INKS, 0.05, cohort)


def _edge(cohort: Cohort) -> tuple[Tensor, Tensor]:
    """Distance from one edge of the picture and the way along it, both [n,S,S] in [0,2]."""
    y, x = coordinates(cohort.size) + 1
    side = torch.randint(0, 4, (cohort.n, 1, 1), generator=cohort.generator)
    across = torch.where(side == 0, y, torch.where(side == 1, 2 - y, torch.where(side == 2, x, 2 - x)))
    return across, torch.where(side < 2, x, y)
