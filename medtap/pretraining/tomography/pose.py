"""How patients lie in a slice."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform


def pose(n: int, shape: tuple[int, int], extent: Tensor, loose: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Where each patient's pixels lie in the anatomy's frame, [n,2,H,W] as (y, x): posed rigidly, and deformed too.

    Args:
        n: number of patients.
        shape: height and width in pixels.
        extent: [2] half height and half width of the view, in the frame's unit.
        loose: how little patients are aligned, 0 to about 2; at 1 they lie within about 10 % of the view.
        generator: source of chance.
    """
    lines = [(torch.arange(side) + 0.5) / side * 2 - 1 for side in shape]
    pixels = torch.stack(torch.meshgrid(*lines, indexing="ij")) * extent[:, None, None]
    angle = loose * 0.12 * torch.randn((n,), generator=generator)
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    rotation = rotation * (1 + loose * uniform(-0.15, 0.15, (n, 1, 1), generator))
    shift = loose * uniform(-0.12, 0.12, (n, 2, 1, 1), generator) * extent.view(2, 1, 1)
    posed = torch.einsum("nij,jhw->nihw", rotation, pixels) + shift
    field = smooth_noise((n, 2), max(shape), pick(2, 5, generator), generator)[..., : shape[0], : shape[1]]
    return posed, posed + field * extent.view(2, 1, 1) * 0.035 * loose
