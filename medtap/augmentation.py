"""Views of support images: small turns, shifts, scales, flips and changes of light, with the masks moved alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd, RandScaleIntensityd
from torch import Generator, Tensor

_VIEW = ("image", "mask")


def view_transform(size: int, *, flip: bool) -> Compose:
    """The random change that makes a view of an image [3,S,S] in [0,1] and its labels [1,S,S], S the size."""
    reach = 3 / 64 * size
    steps: list[Callable] = [
        RandAffined(
            _VIEW,
            prob=1.0,
            rotate_range=0.26,
            translate_range=(reach, reach),
            scale_range=(0.15, 0.15),
            mode=("bilinear", "nearest"),
            padding_mode="border",
        ),
        RandScaleIntensityd("image", factors=0.15, prob=0.8),
        RandAdjustContrastd("image", prob=0.8, gamma=(0.75, 1.35)),
    ]
    return Compose([RandFlipd(_VIEW, prob=0.5, spatial_axis=1), *steps] if flip else steps)


def augmented_views(images: Tensor, masks: Tensor, generator: Generator, *, flip: bool = True) -> tuple[Tensor, Tensor]:
    """Draw one view of each image.

    Args:
        images: [K,3,S,S] in [0,1].
        masks: labels [K,S,S].
        generator: source of chance.
        flip: whether a picture may be mirrored from left to right.

    Returns:
        Images and masks of the same shapes.
    """
    change = view_transform(images.shape[-1], flip=flip)
    change.set_random_state(seed=int(torch.randint(2**31 - 1, (1,), generator=generator)))
    views = [change({"image": image, "mask": mask[None].float()}) for image, mask in zip(images, masks, strict=True)]
    seen = torch.stack([view["image"].as_tensor() for view in views]).clamp(0, 1)
    moved = torch.stack([view["mask"].as_tensor()[0] for view in views]).round()
    return seen.to(images), moved.to(masks)
