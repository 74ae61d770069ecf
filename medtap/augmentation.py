"""Views of support images: turns, shifts, scales, flips and changes of light, with the masks moved alike.

MONAI is imported where a view is drawn, for it takes seconds and a saved adapter is used without.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from monai.transforms import Compose

AUGMENTATIONS = ("none", "upright", "mirrored", "any")
_VIEW = ("image", "mask")


def view_transform(size: int, kind: str) -> Compose:
    """The random change that makes a view of an image [3,S,S] in [0,1] and its labels [1,S,S], S the size."""
    from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandScaleIntensityd

    reach = 3 / 64 * size
    steps: list[Callable] = [
        RandAffined(
            _VIEW,
            prob=1.0,
            rotate_range=math.pi if kind == "any" else 0.26,
            translate_range=(reach, reach),
            scale_range=(0.15, 0.15),
            mode=("bilinear", "nearest"),
            padding_mode="border",
        ),
        RandScaleIntensityd("image", factors=0.15, prob=0.8),
        RandAdjustContrastd("image", prob=0.8, gamma=(0.75, 1.35)),
    ]
    return Compose(steps if kind == "upright" else [RandFlipd(_VIEW, prob=0.5, spatial_axis=1), *steps])


def augmented_views(
    images: Tensor, masks: Tensor, generator: Generator, kind: str = "mirrored"
) -> tuple[Tensor, Tensor]:
    """Draw one view of each image.

    Args:
        images: [K,3,S,S] in [0,1].
        masks: labels [K,S,S].
        generator: source of chance.
        kind: ``none`` gives the images themselves; ``upright`` turns, shifts and scales them a little and changes their
            light (chest X-rays, slices); ``mirrored`` flips them from left to right too; ``any`` turns them by any
            angle as well (dermoscopy, microscopy).

    Returns:
        Images and masks of the same shapes.
    """
    if kind == "none":
        return images, masks
    change = view_transform(images.shape[-1], kind)
    change.set_random_state(seed=int(torch.randint(2**31 - 1, (1,), generator=generator)))
    with torch.autocast(images.device.type, enabled=False):
        pairs = zip(images, masks, strict=True)
        views = [change({"image": image, "mask": mask[None].float()}) for image, mask in pairs]
    seen = torch.stack([view["image"].as_tensor() for view in views]).clamp(0, 1)
    moved = torch.stack([view["mask"].as_tensor()[0] for view in views]).round()
    return seen.to(images), moved.to(masks)
