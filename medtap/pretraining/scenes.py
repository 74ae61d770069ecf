"""Random label maps: what generated episodes are made of. Each scene gives n pictures of the same kind of thing.

Every scene returns labels [n,S,S] (int64, 0 is background) and the labels that are the target class. Which looks they
imitate, and therefore what a score on a real set owes to them, is said in each docstring and in the model card.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform

Scene = tuple[Tensor, tuple[int, ...]]


def coordinates(size: int) -> Tensor:
    """Pixel centres [2,S,S] as (y, x) in [-1, 1]."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(line, line, indexing="ij"))


def blob_depth(centres: Tensor, radii: Tensor, ragged: float, size: int, generator: Generator) -> Tensor:
    """Signed depth [n,S,S] inside star-shaped blobs, positive within, in units of the radius.

    Args:
        centres: [n,2] as (y, x) in [-1, 1].
        radii: [n,2] half axes.
        ragged: amplitude of the outline's harmonics and of the noise on it.
        size: side S in pixels.
        generator: source of chance.
    """
    n = len(centres)
    offset = coordinates(size)[None] - centres[:, :, None, None]
    turn = uniform(0, math.pi, (n, 1, 1), generator)
    y = (offset[:, 0] * turn.cos() - offset[:, 1] * turn.sin()) / radii[:, 0, None, None]
    x = (offset[:, 0] * turn.sin() + offset[:, 1] * turn.cos()) / radii[:, 1, None, None]
    angle = torch.atan2(y, x)
    outline = torch.ones_like(angle)
    for harmonic in range(2, 7):
        phase = uniform(0, 2 * math.pi, (n, 1, 1), generator)
        amplitude = uniform(0, ragged / harmonic, (n, 1, 1), generator)
        outline = outline + amplitude * (harmonic * angle + phase).cos()
    rough = smooth_noise((n, 1), size, pick(8, 32, generator), generator)[:, 0]
    return outline - torch.hypot(y, x) + 0.25 * ragged * rough


def regions(n: int, size: int, generator: Generator) -> Scene:
    """A partition of the picture into smooth regions, the same in all pictures before deforming (anatomy-like maps)."""
    count = pick(3, 9, generator)
    labels = smooth_noise((1, count), size, pick(2, 6, generator), generator).argmax(1)
    target = pick(0, count - 1, generator)
    return _relabel(labels.expand(n, -1, -1), target), (1,)


def _relabel(labels: Tensor, target: int) -> Tensor:
    """Swap a label with 1, so that the target is 1 and never the background 0."""
    swapped = labels.clone()
    swapped[labels == target], swapped[labels == 1] = 1, target
    return swapped


def lesion(n: int, size: int, generator: Generator) -> Scene:
    """One ragged, many-toned blob, often near the middle, among a few other blobs (imitates the look of dermoscopy)."""
    spread = float(uniform(0.1, 0.5, (1,), generator))
    centres = uniform(-spread, spread, (n, 2), generator)
    radii = uniform(0.2, 0.75, (n, 1), generator) * uniform(0.7, 1.3, (n, 2), generator)
    depth = blob_depth(centres, radii, float(uniform(0, 0.8, (1,), generator)), size, generator)
    tones = smooth_noise((n, 1), size, pick(3, 8, generator), generator)[:, 0]
    labels = (depth > 0).long() + ((depth > 0.15) & (tones > 0.4)).long() + ((depth > 0.3) & (tones < -0.8)).long() * 2
    return _with_distractors(labels, pick(0, 2, generator), 4, generator), (1, 2, 3)


def _with_distractors(labels: Tensor, count: int, label: int, generator: Generator) -> Tensor:
    """Paint a few blobs of another label where there is background."""
    n, size = labels.shape[0], labels.shape[-1]
    for _ in range(count):
        centres = uniform(-1, 1, (n, 2), generator)
        radii = uniform(0.05, 0.35, (n, 1), generator) * uniform(0.6, 1.6, (n, 2), generator)
        blob = blob_depth(centres, radii, 0.4, size, generator) > 0
        labels = torch.where((labels == 0) & blob, label, labels)
    return labels


def organs(n: int, size: int, generator: Generator) -> Scene:
    """A body with a pair of mirrored organs and one between them (imitates the look of chest X-rays and of slices)."""
    centre = uniform(-0.15, 0.15, (1, 2), generator)
    side = uniform(0.3, 0.55, (1, 1), generator)
    radii = torch.cat([uniform(0.3, 0.8, (1, 1), generator), uniform(0.15, 0.35, (1, 1), generator)], dim=1)
    half = blob_depth(centre + torch.cat([torch.zeros(1, 1), side], 1), radii, 0.3, size, generator)
    other = half.flip(-1).roll(pick(-size // 16, size // 16, generator), -1)
    body = blob_depth(centre, uniform(0.75, 1.4, (1, 2), generator), 0.2, size, generator)
    middle = blob_depth(
        centre + uniform(-0.2, 0.2, (1, 2), generator), uniform(0.1, 0.45, (1, 2), generator), 0.3, size, generator
    )
    labels = (body > 0).long() * 2
    labels = torch.where(half > 0, 1, torch.where(other > 0, 3, labels))
    labels = torch.where(middle > 0, 4, labels).expand(n, -1, -1)
    return labels, ((1, 3), (1, 3), (4,), (1,))[pick(0, 3, generator)]


def scatter(n: int, size: int, generator: Generator) -> Scene:
    """Many small things of two kinds, one kind the target (cells, nodules, droplets)."""
    labels = torch.zeros((n, size, size), dtype=torch.int64)
    radius = float(uniform(0.06, 0.22, (1,), generator))
    for index in range(pick(4, 14, generator)):
        kind = 1 + index % 2
        centres = uniform(-0.9, 0.9, (n, 2), generator)
        radii = radius * (1.5 if kind == 2 else 1.0) * uniform(0.6, 1.4, (n, 2), generator)
        labels = torch.where(blob_depth(centres, radii, 0.3, size, generator) > 0, kind, labels)
    return labels, (1,)


SCENES: tuple[Callable[[int, int, Generator], Scene], ...] = (regions, lesion, organs, scatter)
"""Every scene a generated episode may show."""
