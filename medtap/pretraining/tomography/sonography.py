"""Ultrasound of label maps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between
from medtap.pretraining.tomography.tissues import look_up, random_tones


def ultrasound(labels: Tensor, tissues: Tensor, generator: Generator) -> Tensor:
    """Ultrasound: speckle around the tissues' echogenicity, attenuation with depth."""
    n, grid = labels.shape[0], labels.shape[-1]
    tones = random_tones((0.05, 0.6), (0.02, 0.12), ("air", "fluid", "blood"), generator)
    own = (tones[tissues] + 0.04 * torch.randn((n, len(tissues)), generator=generator)).clamp(0.02)
    own[:, 0] = 0
    images = blur(look_up(labels, own), between(0.8, 2.5, generator) * grid / 128)
    real, imaginary = torch.randn((2, n, 1, grid, grid), generator=generator)
    speckle = blur(torch.hypot(real, imaginary), between(0.5, 1.2, generator))
    depth = (torch.arange(grid) / grid)[:, None]
    images = images * speckle ** between(0.6, 1.6, generator) * (1 - between(0, 0.7, generator) * depth)
    return images.clamp(0, 1)


def fan(grid: int, generator: Generator) -> Tensor:
    """The field [S,S] of a convex probe above the picture: True where it sees."""
    depth = (torch.arange(grid) / grid)[:, None]
    across = (torch.arange(grid) / grid - 0.5)[None].abs()
    wide = between(0.1, 0.6, generator) + depth * between(0.2, 0.8, generator)
    return (across < wide) & (torch.hypot(across, depth) < 1.02)
