"""Magnetic resonance of label maps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise
from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between, chance
from medtap.pretraining.tomography.tissues import look_up, random_tones

_DARK = ("air", "table", "gas", "cortical", "tendon", "lung")


def magnetic_resonance(labels: Tensor, tissues: Tensor, generator: Generator) -> Tensor:
    """MR: tissue tones of a random sequence, texture, coil sensitivity, Rician noise, ghosts of motion."""
    n, grid = labels.shape[0], labels.shape[-1]
    tones = random_tones((0.1, 0.95), (0, 0.12), _DARK, generator)
    own = tones[tissues] + 0.04 * torch.randn(tissues.shape, generator=generator)
    own = (own + 0.03 * torch.randn((n, len(tissues)), generator=generator)).clamp(0)
    images = blur(look_up(labels, own), between(0.4, 1.2, generator))
    texture = smooth_noise((n, 1), grid, pick(8, 40, generator), generator)
    images = images * (1 + between(0, 0.15, generator) * texture)
    if chance(0.15, generator):
        images = images + between(0.05, 0.2, generator) * images.roll(pick(grid // 8, grid // 3, generator), 2)
    return windowed(receive(images, between(0.005, 0.08, generator), generator))


def receive(images: Tensor, noise: float, generator: Generator) -> Tensor:
    """Coil sensitivity and Rician noise on MR pictures [n,1,H,W]."""
    n, _, height, width = images.shape
    field = smooth_noise((n, 1), max(height, width), 2, generator)[..., :height, :width]
    images = images * (between(0, 0.3, generator) * field).exp()
    real, imaginary = noise * torch.randn((2, n, 1, height, width), generator=generator)
    return torch.hypot(images + real, imaginary)


def windowed(images: Tensor) -> Tensor:
    """Each picture [n,1,H,W] from its 0.5th to its 99.5th percentile, as [0,1]."""
    ends = torch.quantile(images.flatten(1)[:, ::2], torch.tensor([0.005, 0.995]), dim=1)[..., None, None, None]
    return ((images - ends[0]) / (ends[1] - ends[0]).clamp(1e-3)).clamp(0, 1)
