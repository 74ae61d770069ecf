"""Computed tomography of label maps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.appearance import blur
from medtap.pretraining.camera import between, chance
from medtap.pretraining.tomography.tissues import HOUNSFIELD, TISSUES, look_up

_ENHANCING = ("blood", "liver", "spleen", "pancreas", "kidney", "myocardium", "lesion", "bowel")
_WINDOWS = ((-160, 240), (-1000, 1000), (-20, 150), (-200, 300), (-500, 600), (-100, 200), (0, 90))


def computed_tomography(labels: Tensor, tissues: Tensor, generator: Generator) -> Tensor:
    """CT: Hounsfield units, perhaps after contrast agent, in a window, with grain and streaks."""
    n, grid = labels.shape[0], labels.shape[-1]
    units = torch.tensor([float(HOUNSFIELD[TISSUES[index]]) for index in tissues])
    enhancing = torch.tensor([TISSUES[index] in _ENHANCING for index in tissues])
    agent = uniform(0, 1, (len(units),), generator) * between(0, 160, generator) * chance(0.6, generator)
    units = units + enhancing * agent + 14 * torch.randn(units.shape, generator=generator)
    tones = units + 6 * torch.randn((n, len(units)), generator=generator)
    window = _WINDOWS[pick(0, len(_WINDOWS) - 1, generator)]
    low, high = (edge + between(-20, 20, generator) for edge in window)
    grain = blur(torch.randn((n, 1, grid, grid), generator=generator), between(0.4, 1.0, generator))
    images = blur(look_up(labels, tones), between(0.4, 1.1, generator)) + grain * between(3, 60, generator)
    texture = smooth_noise((n, 1), grid, pick(10, 40, generator), generator)
    images = images + texture * between(0, 12, generator)
    if chance(0.2, generator):
        rays = smooth_noise((n, 1), grid, pick(20, 60, generator), generator).mean(-1, keepdim=True)
        images = images + rays * between(20, 150, generator)
    return ((images - low) / (high - low)).clamp(0, 1)
