"""Random looks for label maps: palettes, textures, soft borders, bias fields, hairs, ribs, vignettes, blur, noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.scenes import coordinates


def deform(labels: Tensor, strength: float, generator: Generator) -> Tensor:
    """Warp each label map [n,S,S] by its own affine map and smooth displacement, nearest neighbour.

    Args:
        labels: int64 label maps.
        strength: 0 (none) to about 1 (strong).
        generator: source of chance.
    """
    n, _, size = labels.shape
    angle, stretch = uniform(-1, 1, (n,), generator) * strength, 1 + uniform(-0.35, 0.35, (n, 2), generator) * strength
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    matrix = torch.cat([rotation * stretch[:, None], uniform(-0.3, 0.3, (n, 2, 1), generator) * strength], dim=2)
    grid = F.affine_grid(matrix, [n, 1, size, size], align_corners=False)
    grid = grid + 0.06 * strength * smooth_noise((n, 2), size, pick(2, 6, generator), generator).permute(0, 2, 3, 1)
    return F.grid_sample(labels[:, None].float(), grid, "nearest", "border", align_corners=False)[:, 0].long()


def paint(labels: Tensor, target: tuple[int, ...], generator: Generator) -> Tensor:
    """Give label maps [n,S,S] a look: images [n,3,S,S] in [0,1].

    One palette and texture a label is drawn for all pictures and jittered in each; a label that is no target may look
    almost like one.
    """
    n, size = labels.shape[0], labels.shape[-1]
    count = int(labels.max()) + 1
    shares = _soften(F.one_hot(labels, count).permute(0, 3, 1, 2).float(), generator)
    images = torch.einsum("nlhw,nlc->nchw", shares, _palettes(n, count, target, generator))
    images = images + _textures(shares, size, generator)
    return _degrade(_overlay(images, generator), generator)


def _palettes(n: int, count: int, target: tuple[int, ...], generator: Generator) -> Tensor:
    """Mean colours [n,count,3], shared by the pictures up to a jitter; parts of a target keep a common tone."""
    base = uniform(0.05, 0.95, (count, 3), generator)
    parts = [label for label in target if label < count]
    common = base[parts].mean(0)
    base[parts] = common + (base[parts] - common) * float(uniform(0, 0.7, (1,), generator))
    others = [label for label in range(count) if label not in target]
    if others and pick(0, 2, generator) == 0:
        alike = others[pick(0, len(others) - 1, generator)]
        base[alike] = common + uniform(-0.15, 0.15, (3,), generator)
    cast = uniform(-0.08, 0.08, (n, 1, 3), generator)
    jitter = uniform(0, 0.1, (1,), generator) * torch.randn((n, count, 3), generator=generator)
    if pick(0, 1, generator):
        base, cast, jitter = (tone.mean(-1, keepdim=True).expand_as(tone) for tone in (base, cast, jitter))
    return base[None] + cast + jitter


def _soften(shares: Tensor, generator: Generator) -> Tensor:
    """Blur one-hot labels [n,L,S,S], so that borders are fuzzy to a random degree."""
    return blur(shares, float(uniform(0.3, 3.0, (1,), generator)) * shares.shape[-1] / 128)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of maps [n,C,S,S] by sums of shifts, which on CPU beat a convolution; sigma in pixels."""
    reach = max(1, round(2.5 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (line / line.sum()).tolist()
    for dim, pad in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        wide, size = F.pad(images, pad, mode="replicate"), images.shape[dim]
        images = torch.zeros_like(images)
        for start, weight in enumerate(weights):
            images.add_(wide.narrow(dim, start, size), alpha=weight)
    return images


def _textures(shares: Tensor, size: int, generator: Generator) -> Tensor:
    """Two textures of random scale, each label with its own amplitude of both: [n,1 or 3,S,S]."""
    n, count = shares.shape[:2]
    channels = 1 if pick(0, 2, generator) else 3
    total = torch.zeros((n, channels, size, size))
    for _ in range(2):
        cells = min(size // 2, int(2 ** uniform(2, 6.5, (1,), generator)))
        amplitude = uniform(0, 0.12, (count,), generator)
        noise = smooth_noise((n, channels), size, cells, generator)
        total = total + noise * torch.einsum("nlhw,l->nhw", shares, amplitude)[:, None]
    return total


def _overlay(images: Tensor, generator: Generator) -> Tensor:
    """Lay hairs, ribs or a vignette over some tasks' images [n,3,S,S]."""
    size = images.shape[-1]
    if pick(0, 3, generator) == 0:
        tone = uniform(0, 1, (1,), generator).round() * 0.9
        images = torch.lerp(images, tone.view(1, 1, 1, 1), 0.85 * _curves(len(images), size, generator))
    if pick(0, 5, generator) == 0:
        bands = (coordinates(size)[0] * pick(8, 20, generator) + 2 * coordinates(size)[1] ** 2).sin().clamp(0, 1)
        images = images + float(uniform(0.03, 0.15, (1,), generator)) * bands
    if pick(0, 4, generator) == 0:
        radius = coordinates(size).square().sum(0).sqrt() - float(uniform(0.9, 1.2, (1,), generator))
        images = images * (1 - (radius * float(uniform(4, 30, (1,), generator))).clamp(0, 1))
    return images


def _curves(n: int, size: int, generator: Generator) -> Tensor:
    """Thin curved lines [n,1,S,S] in [0,1]: quadratic Bezier curves, drawn as points."""
    count = pick(2, 12, generator)
    a, b, c = uniform(-0.2, 1.2, (3, n, count, 1, 2), generator)
    t = torch.linspace(0, 1, 3 * size).view(1, 1, -1, 1)
    points = ((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c).clamp(0, 1 - 1e-6).flatten(1, 2)
    index = (points * size).long()
    canvas = torch.zeros((n, size * size)).scatter_(1, index[..., 0] * size + index[..., 1], 1.0).view(n, 1, size, size)
    return F.max_pool2d(canvas, 3, 1, 1) if size > 160 or pick(0, 1, generator) else canvas


def _degrade(images: Tensor, generator: Generator) -> Tensor:
    """Bias field, contrast, gamma, blur and noise, drawn for each image: [n,3,S,S] in [0,1]."""
    n, size = images.shape[0], images.shape[-1]
    field = smooth_noise((n, 1), size, 2, generator) * float(uniform(0, 0.25, (1,), generator))
    contrast, shift = uniform(0.7, 1.3, (n, 1, 1, 1), generator), uniform(-0.12, 0.12, (n, 1, 1, 1), generator)
    images = ((images - 0.5) * contrast + 0.5 + shift) * field.exp()
    images = images.clamp(0, 1) ** uniform(0.6, 1.6, (n, 1, 1, 1), generator)
    if pick(0, 2, generator) == 0:
        images = blur(images, float(uniform(0.4, 1.5, (1,), generator)))
    noise = torch.randn((n, 1 if pick(0, 1, generator) else 3, size, size), generator=generator)
    return (images + noise * float(uniform(0, 0.06, (1,), generator))).clamp(0, 1)
