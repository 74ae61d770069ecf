"""Tasks seen again, changed at random where they train the network: drawing new ones would take longer."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.pretraining.synthetic import is_fair


def changed(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Change tasks, a task's pictures alike for the most part and each a little in its own way.

    Pictures are turned, mirrored, scaled and shifted with their masks, then their light and colours change, and some
    tasks lose sharpness or gain noise. A picture that would lose its class stays where it was.

    Args:
        images: [T,n,3,S,S] in [0,1].
        masks: [T,n,S,S] in {0,1}.
        generator: source of chance, on the CPU, so that every device draws the same.

    Returns:
        Images and masks of the same shapes and ranges.
    """
    moved, cut = _moved(images, masks, generator)
    return _relit(_degraded(moved, generator), generator), cut


def _moved(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    tasks, n, _, size, _ = images.shape
    grids = F.affine_grid(_placements(tasks, n, generator).to(images.device), [tasks * n, 3, size, size], False)
    moved = _sampled(images.flatten(0, 1), grids, "bilinear").view_as(images)
    cut = _sampled(masks.flatten(0, 1).unsqueeze(1), grids, "nearest").view_as(masks)
    kept = (is_fair(cut) | ~masks.flatten(2).any(2))[..., None, None]
    return torch.where(kept.unsqueeze(2), moved, images), torch.where(kept, cut, masks)


def _sampled(maps: Tensor, grids: Tensor, mode: str) -> Tensor:
    return F.grid_sample(maps, grids.to(maps), mode, padding_mode="reflection", align_corners=False)


def _placements(tasks: int, n: int, generator: Generator) -> Tensor:
    """Affine maps [T*n,2,3]: a task is mirrored, turned, by any angle at times, and scaled; each picture a little."""

    def draw(low: float, high: float, count: int) -> Tensor:
        return low + (high - low) * torch.rand((tasks, count), generator=generator)

    anyhow = draw(0, 1, 1) < 0.2
    turn = torch.where(anyhow, draw(-math.pi, math.pi, 1), draw(-0.25, 0.25, 1)) + draw(-0.15, 0.15, n)
    scale = (draw(-0.35, 0.15, 1) + draw(-0.15, 0.15, n)).exp()
    mirror = torch.where(draw(0, 1, 1) < 0.5, -1.0, 1.0)
    cosines, sines = scale * turn.cos(), scale * turn.sin()
    rows = [torch.stack([mirror * cosines, -mirror * sines, draw(-0.15, 0.15, n)], -1)]
    rows += [torch.stack([sines, cosines, draw(-0.15, 0.15, n)], -1)]
    return torch.stack(rows, -2).flatten(0, 1)


def _degraded(images: Tensor, generator: Generator) -> Tensor:
    """Images [T,n,3,S,S] of which some tasks are less sharp, and some noisy."""
    tasks, n, _, size, _ = images.shape
    coarse = max(8, round(size / (1 + 4 * float(torch.rand(1, generator=generator)))))
    small = F.interpolate(images.flatten(0, 1), (coarse, coarse), mode="bilinear", antialias=True)
    blurred = F.interpolate(small, (size, size), mode="bilinear").view_as(images)
    chosen = torch.rand((2, tasks, 1, 1, 1, 1), generator=generator).to(images.device)
    images = torch.where(chosen[0] < 0.3, blurred, images)
    strength = 0.06 * torch.rand((tasks, n, 1, 1, 1), generator=generator).to(images.device) * (chosen[1] < 0.3)
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    noise = torch.randn(images.shape, generator=Generator(images.device).manual_seed(seed), device=images.device)
    return images + strength * noise


def _relit(images: Tensor, generator: Generator) -> Tensor:
    """Images [T,n,3,S,S] in other colours by task, brighter, darker or steeper by picture."""
    tasks, n = images.shape[:2]
    grey, inverted, permuted = torch.rand((3, tasks, 1, 1, 1, 1), generator=generator).to(images.device)
    contrast, shift, gamma = torch.rand((3, tasks, n, 1, 1, 1), generator=generator).to(images.device)
    order = torch.randperm(3, generator=generator).to(images.device)
    images = torch.where(permuted < 0.2, images[:, :, order], images)
    images = torch.where(grey < 0.15, images.mean(2, keepdim=True), images)
    images = torch.where(inverted < 0.1, 1 - images, images)
    images = (images - 0.5) * (0.7 + 0.6 * contrast) + 0.5 + 0.24 * (shift - 0.5)
    return images.clamp(0, 1) ** (1.4 ** (2 * gamma - 1))
