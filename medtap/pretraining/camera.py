"""What scenes share: texture of every scale, and what a device does to them: field of view, exposure, blur, noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.appearance import blur
from medtap.pretraining.natural import recolour
from medtap.pretraining.scenes import coordinates


def between(low: float, high: float, generator: Generator) -> float:
    """One uniform draw in [low, high)."""
    return float(uniform(low, high, (1,), generator))


def chance(share: float, generator: Generator) -> bool:
    """True in this share of the draws."""
    return between(0, 1, generator) < share


def ground(n: int, size: int, generator: Generator, slope: float = 1.0) -> Tensor:
    """Texture [n,1,S,S] of about unit deviation in which every scale is present, finer ones fainter by the slope."""
    field, total = torch.zeros((n, 1, 3, 3)), 0.0
    for cells in (2, 4, 8, 16, 32, 64):
        noise = torch.randn((n, 1, cells + 1, cells + 1), generator=generator)
        field = _resized(field, cells + 1) + cells**-slope * noise
        total += cells ** (-2 * slope)
    return _resized(field, size) / total**0.5


def _resized(field: Tensor, size: int) -> Tensor:
    return F.interpolate(field, (size, size), mode="bicubic", align_corners=True)


def field_of_view(n: int, size: int, generator: Generator) -> Tensor:
    """Light [n,1,S,S] in [0,1] of a round field of view, darker at its rim; it may be larger than the picture."""
    radius = between(0.85, 1.5, generator)
    offset = coordinates(size)[None] - uniform(-0.05, 0.05, (n, 2, 1, 1), generator)
    distance = offset.square().sum(1, keepdim=True).sqrt()
    edge = ((radius - distance) * size / 4).clamp(0, 1)
    return edge * (1 - between(0, 0.5, generator) * (distance / radius) ** 2).clamp(min=0.05)


def acquire(images: Tensor, generator: Generator) -> Tensor:
    """Pictures [n,3,S,S] in [0,1] as one device would take them, each exposed in its own way.

    One task in four has colours that no such device gives: grey, permuted or inverted.
    """
    n, _, size, _ = images.shape
    light = smooth_noise((n, 1), size, 2, generator) * between(0, 0.2, generator)
    cast = uniform(-1, 1, (n, 3, 1, 1), generator) * max(0.0, between(-0.08, 0.08, generator))
    gain = uniform(0.75, 1.25, (n, 1, 1, 1), generator) * (1 + cast)
    images = (images * gain * light.exp()).clamp(0, 1) ** uniform(0.75, 1.35, (n, 1, 1, 1), generator)
    if pick(0, 3, generator) == 0:
        images = recolour(images, generator)
    if pick(0, 1, generator):
        images = blur(images, between(0.35, 1.2, generator) * size / 128)
    channels = 3 if pick(0, 1, generator) else 1
    noise = torch.randn((n, channels, size, size), generator=generator)
    if pick(0, 1, generator):
        noise = blur(noise, 0.6) * 1.6
    return (images + noise * between(0.0, 0.05, generator)).clamp(0, 1)
