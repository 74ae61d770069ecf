"""What light, optics and camera of a dermatoscope make of a picture."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick
from medtap.pretraining.cohort import Cohort


def light(images: Tensor, plane: Tensor, cohort: Cohort) -> Tensor:
    """Uneven light [n,3,S,S]: a gradient, a fall-off to the rim and a faint ring of gel."""
    turn, radius = cohort.free(0, 6.3), torch.hypot(plane[:, 0], plane[:, 1])
    slope = cohort.free(0, 0.25) * (plane[:, 0] * turn.cos() + plane[:, 1] * turn.sin())
    fall = cohort.blend(0, 0.5) ** 1.5 * radius**2 + cohort.free(0, 0.08) * cohort.noise(2)
    ring = cohort.shown(0.2) * cohort.free(-0.2, 0.2) * (-((radius - cohort.free(0.7, 1.3)) ** 2) * 300).exp()
    return images * (slope - fall + ring).exp()[:, None]


def focus(images: Tensor, cohort: Cohort) -> Tensor:
    """Blur of the optics or of a small original, the same for the pictures of a task."""
    return blurred(images, cohort.between(0.3, 1.2) * cohort.size / 128) if pick(0, 1, cohort.generator) else images


def blurred(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of maps [...,S,S] as two matrix products, quicker here than a convolution; sigma in pixels."""
    line = torch.arange(maps.shape[-1])
    weights = torch.softmax(-0.5 * ((line - line[:, None]) / sigma) ** 2, dim=1)
    return weights @ maps @ weights.T


def record(images: Tensor, cohort: Cohort) -> Tensor:
    """What the camera makes of it [n,3,S,S] in [0,1]: white balance, contrast, noise, compression, odd colour maps."""
    device = cohort.between(0, 0.16) * torch.randn((1, 3, 1, 1), generator=cohort.generator)
    own = cohort.between(0, 0.08) * torch.randn((cohort.n, 3, 1, 1), generator=cohort.generator)
    exposure = cohort.blend(-0.25, 0.3)[:, None]
    images = (images * (device + own + exposure).exp()).clamp(1e-3, 1) ** cohort.blend(0.65, 1.3)[:, None]
    images = 0.5 + (images - 0.5) * cohort.blend(0.75, 1.15)[:, None]
    images = images + cohort.between(0, 0.03) * torch.randn(images.shape, generator=cohort.generator)
    if pick(0, 2, cohort.generator) == 0:
        images = compress(images, cohort.between(0.02, 0.2))
    images = images.clamp(0, 1)
    return _odd_colours(images, cohort.generator) if pick(0, 7, cohort.generator) == 0 else images


def compress(images: Tensor, step: float) -> Tensor:
    """Quantise the cosine transform of 8x8 blocks, as JPEG does; coarser for higher frequencies."""
    size = images.shape[-1]
    padded = F.pad(images, (0, -size % 8, 0, -size % 8), mode="replicate")
    k = torch.arange(8.0)
    basis = ((2 * k + 1) * k[:, None] * math.pi / 16).cos() * torch.where(k == 0, 0.125, 0.25).sqrt()[:, None]
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
    steps = step * (0.25 + (k + k[:, None]) / 4)
    coefficients = ((basis @ blocks @ basis.T) / steps).round() * steps
    restored = (basis.T @ coefficients @ basis).permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)
    return restored[..., :size, :size]


def _odd_colours(images: Tensor, generator: Generator) -> Tensor:
    """Swap the channels, invert them, or drop the colour."""
    maps: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda tone: tone[:, torch.randperm(3, generator=generator)],
        lambda tone: 1 - tone,
        lambda tone: tone.mean(1, keepdim=True).expand_as(tone),
    )
    return maps[pick(0, 2, generator)](images)
