"""Label maps of the organs of a layout in the patients of a task."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.camera import between, chance
from medtap.pretraining.scenes import blob_depth
from medtap.pretraining.tomography.draws import jitter
from medtap.pretraining.tomography.layouts import Organ
from medtap.pretraining.tomography.pose import pose
from medtap.pretraining.tomography.tissues import TISSUES

_FOLDED = {"brain": 0.25, "white matter": 0.9, "white matter mirrored": 0.9}


class Atlas(NamedTuple):
    """Label maps of n patients, 0 for air, with the tissue index and the enclosing label of each label."""

    labels: Tensor  # [n,S,S] int64
    tissues: Tensor  # [L]
    parents: list[int]


def draw_atlas(n: int, grid: int, layout: tuple[Organ, ...], generator: Generator) -> Atlas:
    """Draw a layout's organs in n patients, some left out, perhaps with a lesion; concentric ones vary together."""
    seed = pick(2**16, 2**31 - 1, generator)
    points = body_points(n, grid, layout, generator)
    rough = 0.05 * smooth_noise((n, 1), grid, 8, generator)[:, 0]
    folds = smooth_noise((n, 1), grid, min(grid // 4, pick(8, 16, generator)), generator)[:, 0].abs().clamp(0, 1) - 0.5
    labels = torch.zeros((n, grid, grid), dtype=torch.int64)
    tissues, parents = ["air"], [0]
    for organ in layout:
        if len(tissues) > 6 and chance(0.07, generator):
            continue
        rows, columns = bounds(points, organ)
        view = labels[:, rows, columns]
        edge = _FOLDED[organ.name] * folds if organ.name in _FOLDED else rough
        shape = torch.Generator().manual_seed(seed + 100 * round(10 * organ.y) + round(10 * organ.x))
        inside = organ_depth(points[..., rows, columns], organ, shape) + edge[:, rows, columns] > 0
        parents.append(int(torch.bincount(view[inside], minlength=1).argmax()))
        view[inside] = len(tissues)
        tissues.append(organ.tissue)
    if chance(0.4, generator):
        host = pick(2, len(tissues) - 1, generator)
        labels = add_lesion(labels, host, len(tissues), generator)
        parents += [host, len(tissues)]
        tissues += ["lesion", "core"]
    return Atlas(labels, torch.tensor([TISSUES.index(name) for name in tissues]), parents)


def bounds(points: Tensor, organ: Organ) -> tuple[slice, slice]:
    """Rows and columns outside which no patient's organ reaches, found on every fourth of the points [n,2,S,S]."""
    reach = 1.6 * max(organ.height, organ.width) + 0.12
    centre = torch.tensor([organ.y, organ.x])[:, None, None]
    near = ((points[..., ::4, ::4] - centre).abs().amax(1) < reach).any(0)
    found = [torch.nonzero(near.any(axis))[:, 0].tolist() or [0] for axis in (1, 0)]
    rows, columns = (slice(4 * max(0, line[0] - 1), 4 * (line[-1] + 2)) for line in found)
    return rows, columns


def body_points(n: int, grid: int, layout: tuple[Organ, ...], generator: Generator) -> Tensor:
    """Where the pixels lie in the layout's frame [n,2,S,S]: the whole, or a part around one organ; turned at times."""
    zoom = between(1.3, 3, generator) if chance(0.4, generator) else between(0.9, 1.2, generator)
    extent = torch.ones(2) / zoom * uniform(0.85, 1.1, (2,), generator)
    points = pose(n, (grid, grid), extent, between(0.2, 1.6, generator), generator)[1]
    if chance(0.25, generator):
        points = points.rot90(pick(1, 3, generator), (2, 3))
    if chance(0.3, generator):
        points = points * torch.tensor([1.0, -1.0])[:, None, None]
    if zoom > 1.25:
        centre = layout[pick(len(layout) // 3, len(layout) - 1, generator)]
        points = points + torch.tensor([centre.y, centre.x]).clamp(-0.8, 0.8)[:, None, None]
    return points


def organ_depth(points: Tensor, organ: Organ, generator: Generator) -> Tensor:
    """Depth [n,H,W] inside an organ, 1 at its middle and 0 at its border; the task and each patient vary it."""
    n, loose = len(points), 2.0 if organ.tissue in ("bowel", "gas") else 1.0
    small = min(organ.height, organ.width, 0.15)
    y = jitter(organ.y + between(-0.3, 0.3, generator) * small, 0.1 * loose * small, n, generator)
    x = jitter(organ.x + between(-0.3, 0.3, generator) * small, 0.1 * loose * small, n, generator)
    scale = torch.ones(2) if organ.height > 0.45 else uniform(0.8, 1.25, (2,), generator)
    turn = jitter(organ.turn, 0.06 * loose, n, generator) + between(-0.1, 0.1, generator)
    gap_y, gap_x = points[:, 0] - y, points[:, 1] - x
    v = (gap_y * turn.cos() - gap_x * turn.sin()) / (organ.height * scale[0] * jitter(1, 0.05 * loose, n, generator))
    u = (gap_y * turn.sin() + gap_x * turn.cos()) / (organ.width * scale[1] * jitter(1, 0.05 * loose, n, generator))
    if organ.height < 0.45:
        bend = jitter(between(-0.3, 0.3, generator), 0.07, n, generator)
        u = u + bend * v * v
        v = v * (1 + jitter(between(-0.25, 0.25, generator), 0.06, n, generator) * u.clamp(-1.5, 1.5))
    return 1 - u * u - v * v


def add_lesion(labels: Tensor, host: int, label: int, generator: Generator) -> Tensor:
    """Labels with a lesion, and its core as the next label, somewhere in the host of each patient."""
    n, grid = labels.shape[0], labels.shape[-1]
    places = (labels == host).flatten(1).float() + 1e-6
    spot = torch.multinomial(places, 1, generator=generator)[:, 0]
    centres = (torch.stack([spot // grid, spot % grid], 1) + 0.5) / grid * 2 - 1
    radii = between(0.08, 0.28, generator) * uniform(0.7, 1.3, (n, 2), generator)
    depth = blob_depth(centres, radii, between(0.1, 0.8, generator), grid, generator)
    inside = (depth > 0) & (labels > 0)
    core = inside & (depth > between(0.2, 1.2, generator))
    return labels.masked_fill(inside, label).masked_fill(core, label + 1)
