"""Images as MONAI Label and MONAI Deploy hand them over, and masks as they take them back.

Both may read a file themselves and leave out LoadImaged. MONAI Label then gives pixels with the channel last, [W,H,1]
or [H,W,3]. MONAI Deploy gives [W,H,planes], marks everything "no_channel", and so passes a colour image as [3,W,H] or
[W,H,1,3]; it takes masks as [1,W,H,planes] only.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys

from medtap.data import SPACING
from medtap.errors import InputError

AXES = "host_axes"
"""Key of the meta data that says which axes a host's mask has after the channel: HW, WH or WHD."""


class FromHostd(MapTransform):
    """Bring an image that a host has read to [1 or 3,H,W]; what medtap's own reader has read passes untouched.

    Args:
        keys: the tensors.
        volumes: whether single-channel volumes are taken too, as [1,X,Y,Z]; they are refused otherwise.
    """

    def __init__(self, keys: str, volumes: bool = False) -> None:
        super().__init__(keys)
        self.volumes = volumes

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` with its tensors in medtap's order.

        Raises:
            InputError: a tensor is a volume where images are wanted, or neither image nor volume.
        """
        out = dict(data)
        for key in self.key_iterator(out):
            tensor = MetaTensor(out[key])
            out[key] = out[key] if SPACING in tensor.meta else self._taken(tensor)
        return out

    def _taken(self, tensor: MetaTensor) -> MetaTensor:
        mark = tensor.meta.get(MetaKeys.ORIGINAL_CHANNEL_DIM)
        volume = _volume(tensor.as_tensor(), mark)
        if volume is not None and self.volumes:
            return MetaTensor(volume, meta=tensor.meta)
        found = _image(tensor.as_tensor(), mark)
        if found is None:
            expected = "an image of one or three channels" + (", or a grey volume" if self.volumes else "")
            raise InputError(
                "a host's array of this shape cannot be segmented",
                expected=expected,
                found=str(list(tensor.shape)),
                remedy=None if volume is None else "use the bundle of volumes, `slices`",
            )
        image, axes = found
        taken = MetaTensor(image, meta=tensor.meta)
        taken.meta[AXES] = axes if mark == -1 else "WHD"
        return taken


class ToHostd(MapTransform):
    """Give a mask [1,H,W] the axes of the image that a host handed over; every other mask passes untouched.

    Args:
        keys: masks on the grid of their image.
        image_key: the image that `FromHostd` has seen.
    """

    def __init__(self, keys: str, image_key: str = "image") -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` whose masks are [1,H,W], [1,W,H] or [1,W,H,1]."""
        out = dict(data)
        image = out.get(self.image_key)
        axes = image.meta.get(AXES, "HW") if isinstance(image, MetaTensor) else "HW"
        for key in self.key_iterator(out):
            mask = out[key] if axes == "HW" else out[key].transpose(1, 2)
            out[key] = mask.unsqueeze(-1) if axes == "WHD" else mask
        return out


def _volume(array: torch.Tensor, mark: Any) -> torch.Tensor | None:
    """A grey volume as [1,X,Y,Z]; None where the array is an image, as one of three planes is unless marked."""
    if array.ndim == 4 and len(array) == 1 and array.shape[-1] != 3:
        return array
    colour = array.shape[-1] == 3 and mark != "no_channel"
    return array.unsqueeze(0) if array.ndim == 3 and mark != -1 and len(array) not in (1, 3) and not colour else None


def _image(array: torch.Tensor, mark: Any) -> tuple[torch.Tensor, str] | None:
    """An image as [1 or 3,H,W] and the order of its axes as given; None where the array is none."""
    if array.ndim == 4 and array.shape[0] == array.shape[3] == 1:
        return array[..., 0].transpose(1, 2), "WH"
    if array.ndim == 4 and array.shape[2:] == (1, 3):
        return array[:, :, 0].permute(2, 1, 0), "WH"
    if array.ndim == 3 and array.shape[2] == 1:
        return array.permute(2, 1, 0), "WH"
    if array.ndim == 3 and array.shape[2] == 3 and mark != "no_channel":
        return array.permute(2, 0, 1), "HW"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return (array.transpose(1, 2), "WH") if mark == "no_channel" else (array, "HW")
    return (array.unsqueeze(0), "HW") if array.ndim == 2 else None
