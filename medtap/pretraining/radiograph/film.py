"""How absorption becomes a picture: scatter, noise, film curve, margins and marks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.chance import pick, uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.markers import marked
from medtap.pretraining.scenes import coordinates


def develop(absorption: Tensor, exposed: Tensor, cohort: Cohort) -> Tensor:
    """Show absorption [n,S,S] as pictures [n,3,S,S] in [0,1]: scatter, noise, film curve, margins, polarity, tint."""
    shown = _film(_scatter(absorption, cohort), cohort)
    shown = (shown + _grain(cohort)).clamp(0, 1)
    shown = torch.where(exposed > 0, shown, float(pick(0, 5, cohort.generator) == 0))
    if pick(0, 11, cohort.generator) == 0:
        shown = 1 - shown
    if pick(0, 1, cohort.generator):
        shown = marked(shown, cohort)
    images = shown[:, None].expand(-1, 3, -1, -1)
    if pick(0, 7, cohort.generator) == 0:
        images = images ** uniform(0.7, 1.4, (1, 3, 1, 1), cohort.generator)
    return images.contiguous()


def _grain(cohort: Cohort) -> Tensor:
    """Quantum noise, at times the lines of a grid, and a vignette: what is added to a picture [n,S,S]."""
    row, column = coordinates(cohort.size)
    noise = cohort.vary(0.0, 0.2) ** 2 * torch.randn((cohort.n, cohort.size, cohort.size), generator=cohort.generator)
    if pick(0, 5, cohort.generator) == 0:
        noise = noise + cohort.vary(0.0, 0.05) * (column * cohort.vary(60, 300)).sin()
    if pick(0, 3, cohort.generator) == 0:
        noise = noise - cohort.vary(0.1, 0.6) * (torch.hypot(row, column) - cohort.vary(0.7, 1.1)).clamp_min(0)
    return noise


def _scatter(absorption: Tensor, cohort: Cohort) -> Tensor:
    """Mix absorption [n,S,S] with its near and far surround: blur and fog if added, sharpening if taken away."""
    near = F.avg_pool2d(absorption[:, None], 3, 1, 1, count_include_pad=False)
    far = F.avg_pool2d(near, 8, 8, ceil_mode=True, count_include_pad=False)
    far = F.avg_pool2d(far, 5, 1, 2, count_include_pad=False)
    far = F.interpolate(far, absorption.shape[-2:], mode="bilinear")
    mixed = torch.lerp(absorption, near[:, 0], cohort.vary(-0.8, 1.0))
    return torch.lerp(mixed, far[:, 0], cohort.vary(-0.5, 0.35)) + cohort.vary(0, 0.06) * cohort.bicubic_noise(2)


def _film(absorption: Tensor, cohort: Cohort) -> Tensor:
    """The film curve: absorption [n,S,S] between two of its quantiles to [0,1], soft or hard, by rank in some tasks."""
    flat = absorption.flatten(1)
    ordered = flat[:, :: max(1, flat.shape[1] // 2048)].sort(dim=1).values
    low, high = (ordered[:, int(share * ordered.shape[1]), None, None] for share in (0.02, 0.97))
    low, high = low - cohort.vary(-0.05, 0.15), high + cohort.vary(-0.15, 0.15)
    shown = ((absorption - low) / (high - low).clamp_min(0.1)).clamp(0, 1) ** cohort.vary(0.7, 1.8)
    if pick(0, 1, cohort.generator):
        rank = torch.searchsorted(ordered, flat).view_as(absorption) / ordered.shape[1]
        shown = torch.lerp(shown, rank, cohort.between(0, 1))
    return shown * cohort.vary(0.75, 1.0) + cohort.vary(0.0, 0.08)


def exposed_field(cohort: Cohort) -> Tensor:
    """Ones [n,S,S] in the exposed field, zeros in the margins that some tasks have."""
    if pick(0, 1, cohort.generator):
        return torch.ones((cohort.n, cohort.size, cohort.size))
    row, column = coordinates(cohort.size)
    gaps = [row + cohort.vary(0.9, 1.1), cohort.vary(0.9, 1.1) - row]
    gaps += [column + cohort.vary(0.86, 1.1), cohort.vary(0.86, 1.1) - column]
    return (torch.stack(gaps).amin(0) > 0).float()
