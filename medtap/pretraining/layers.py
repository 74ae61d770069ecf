"""A scene of layered tissue under speckle: optical coherence tomography, and ultrasound of skin or vessel walls."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between
from medtap.pretraining.scenes import coordinates
from medtap.pretraining.synthetic import Task

_VITREOUS = 0.06


def layers(n: int, size: int, generator: Generator) -> Task:
    """Stacked bands with a pit and speckle; the target is one band, a run of them, or dark fluid within."""
    count = pick(4, 9, generator)
    borders = _borders(n, count, size, generator)
    rows = ((torch.arange(size) + 0.5) / size).view(1, 1, -1, 1)
    labels = (rows > borders[:, :, None]).sum(1)
    pockets = (labels > 0) & (labels <= count) & (_pockets(n, size, generator) > 0)
    first = pick(1, count, generator)
    masks = (labels >= first) & (labels <= min(count, first + pick(0, 3, generator)))
    light = _tones(n, count + 2, generator).gather(1, labels.flatten(1)).view(n, 1, size, size)
    if pick(0, 2, generator) == 0:
        light = torch.where(pockets[:, None], _VITREOUS + 0.05, light)
        masks = pockets if pick(0, 1, generator) else masks & ~pockets
    light = blur(light, between(0.5, 1.4, generator) * size / 128)
    return _speckled(light, rows - borders[:, :1, None], generator).expand(-1, 3, -1, -1), masks.float()


def _borders(n: int, count: int, size: int, generator: Generator) -> Tensor:
    """Heights [n,count+1,S] of the borders between bands in [0,1] from the top, never crossing."""
    thickness = uniform(0.3, 1.7, (1, count), generator) * uniform(0.8, 1.25, (n, count), generator)
    thickness = thickness * between(0.25, 0.75, generator) / thickness.sum(1, keepdim=True)
    top = uniform(0.1, 0.35, (n, 1), generator)
    heights = torch.cat([top, top + thickness.cumsum(1)], 1)[..., None]
    knots = torch.randn((n, count + 1, 1, pick(4, 9, generator)), generator=generator)
    waves = F.interpolate(knots, (1, size), mode="bicubic", align_corners=True)[:, :, 0]
    bend, rough = (between(0.0, most, generator) for most in (0.07, 0.015))
    across = coordinates(size)[1, :1] - uniform(-0.3, 0.3, (n, 1), generator)
    pit = torch.exp(-((across / uniform(0.12, 0.4, (n, 1), generator)) ** 2)) * float(
        uniform(-0.05, 0.15, (1,), generator)
    )
    tilt = across * uniform(-1, 1, (n, 1), generator) * between(0, 0.15, generator)
    inner = torch.linspace(1, 0, count + 1).square().view(1, -1, 1)
    lines = heights + bend * waves[:, :1] + rough * waves + pit[:, None] * inner + tilt[:, None]
    return lines.cummax(1).values


def _tones(n: int, count: int, generator: Generator) -> Tensor:
    """Light of the bands [n,count], each unlike the one above; the first is dark."""
    step = uniform(0.12, 0.5, (count,), generator) * (torch.randint(0, 2, (count,), generator=generator) * 2 - 1)
    walk = (0.5 + step.cumsum(0)) % 2
    tones = 0.1 + 0.8 * torch.where(walk > 1, 2 - walk, walk)
    tones[0] = _VITREOUS
    return tones + between(0, 0.05, generator) * torch.randn((n, count), generator=generator)


def _pockets(n: int, size: int, generator: Generator) -> Tensor:
    """A field [n,S,S], positive in a few flat pockets."""
    field = smooth_noise((n, 1), size, pick(4, 8, generator), generator)[:, 0]
    return field - uniform(0.8, 1.4, (n, 1, 1), generator)


def _speckled(light: Tensor, below: Tensor, generator: Generator) -> Tensor:
    """Light [n,1,S,S] that fades with depth below the top, under the shadows of vessels and speckle."""
    n, size = len(light), light.shape[-1]
    fade = torch.exp(-between(0, 2.5, generator) * below.clamp(min=0))
    columns = smooth_noise((n, 1), size, 16, generator)[:, :, :1]
    shadow = torch.where(
        below > 0.05, 1 - 0.5 * (columns - uniform(1.0, 3.0, (n, 1, 1, 1), generator)).clamp(0, 1), 1.0
    )
    speckle = torch.randn((n, 1, size, size), generator=generator)
    speckle = blur(speckle, between(0.4, 1.0, generator) * size / 128)
    speckle = speckle / speckle.std() * between(0.05, 0.55, generator)
    return light * fade * shadow * speckle.exp()
