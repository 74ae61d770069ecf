"""Images and masks brought to a network's size."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate


def resize_images(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images [B, C, H, W] in [0, 1] -> [B, C, size, size], bilinear with antialias; the same for support and query."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def resize_masks(masks: torch.Tensor, size: int) -> torch.Tensor:
    """Labels [B, H, W] -> [B, size, size] of the same type, each pixel the nearest one's."""
    return interpolate(masks[:, None].float(), (size, size), mode="nearest-exact")[:, 0].to(masks.dtype)
