"""MONAI dictionary transforms from a file to what a network sees, the same for support images and new ones."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Mapping
from typing import Any, cast

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import Compose, InvertibleTransform, LoadImaged, MapTransform
from monai.transforms.spatial.functional import orientation as reorient
from monai.utils import TraceKeys

from medtap.data.planes import axis_codes, inverse_orientation, plane_orientation
from medtap.data.readers import ScanReader
from medtap.data.scan import EIGHT_BIT, window_of
from medtap.errors import InputError

_PERCENTILES = (0.5, 99.5)
_USED_LEVELS = 0.25  # of those a window has
_SAMPLE = 2**20


class ToPlanesd(MapTransform, InvertibleTransform):
    """Turn volumes [1, X, Y, Z] so that their last axis counts the planes of an axis; images pass untouched.

    Rows and columns run as on a radiologist's screen (`medtap.data.planes.AXES`). The inverse is exact for every
    orientation, since it undoes the permutation and flips that were applied, not what the affine looks like.

    Args:
        keys: the tensors, MetaTensors with the affine of the array.
        axis: axial, coronal or sagittal.

    Raises:
        OptionError: no such axis.
    """

    def __init__(self, keys: KeysCollection, axis: str = "axial", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        axis_codes(axis)
        self.axis = axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` whose volumes are [1, H, W, planes]."""
        out = dict(data)
        for key in self.key_iterator(out):
            if out[key].ndim == 4:
                out[key] = self._turned(out[key], plane_orientation(_affine(out[key]), self.axis))
        return out

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` whose volumes are [1, X, Y, Z] as they were stored."""
        out = dict(data)
        for key in self.key_iterator(out):
            if out[key].ndim == 4:
                turns = self.pop_transform(out[key])[TraceKeys.EXTRA_INFO]["turns"]
                with self.trace_transform(False):
                    out[key] = self._turned(out[key], inverse_orientation(np.asarray(turns)))
        return out

    def _turned(self, volume: MetaTensor, turns: np.ndarray) -> MetaTensor:
        # MONAI's function changes the orientation it is given, hence the copy
        info = self.get_transform_info()
        turned = cast("MetaTensor", reorient(volume, volume.affine, turns.copy(), lazy=False, transform_info=info))
        if self.tracing:
            turned.applied_operations[-1][TraceKeys.EXTRA_INFO]["turns"] = turns.tolist()
        return turned


class ToUnitRanged(MapTransform):
    """Intensities to float32 in [0, 1]: by the scan's window, 8-bit images by 255, all else by `unit_range`.

    A window that shows the scan in less than a quarter of its grey levels is not used.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` with its tensors in [0, 1], of the same shapes."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = _to_unit(out[key])
        return out


class ThreeChannelsd(MapTransform):
    """Grey images [1, H, W] to [3, H, W]; volumes stay [1, H, W, planes], to be expanded a plane at a time."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` with images of three channels.

        Raises:
            InputError: an image of another number of channels than 1 or 3.
        """
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = _three_channels(out[key])
        return out


def unit_range(values: torch.Tensor) -> torch.Tensor:
    """Scale by a scan's own 0.5 and 99.5 percentiles, clipped to [0, 1]; its minimum and maximum where these are equal.

    Returns:
        float32 of the same shape; zeros where the scan is constant.
    """
    array = np.asarray(values.detach().cpu())
    low, high = (float(level) for level in np.percentile(array, _PERCENTILES))
    if high <= low:
        low, high = float(array.min()), float(array.max())
    if high <= low:
        return torch.zeros_like(values, dtype=torch.float32)
    wide = values.to(torch.float64) if high - low < 1e-6 * max(abs(low), abs(high)) or _deep(values) else values
    return ((wide - low) / (high - low)).clamp(0, 1).to(torch.float32)


def windowed(values: torch.Tensor, low: float, high: float) -> torch.Tensor | None:
    """Scale by a window, clipped to [0, 1]; None where it shows the scan in less than a quarter of its grey levels."""
    scaled = values.to(torch.float32, copy=True).sub_(low).div_(high - low).clamp_(0, 1)
    some = scaled.reshape(-1)[:: max(1, scaled.numel() // _SAMPLE)]
    darkest, brightest = np.percentile(np.asarray(some.detach().cpu()), _PERCENTILES)
    return scaled if brightest - darkest >= _USED_LEVELS else None


def plane_transforms(axis: str = "axial", key: str = "image") -> Compose:
    """What happens to a loaded tensor (`medtap.data.scan.scan_tensor`): `image_transforms` without the loading."""
    return Compose([ToPlanesd(key, axis), ToUnitRanged(key), ThreeChannelsd(key)])


def image_transforms(axis: str = "axial", key: str = "image") -> Compose:
    """From ``{key: path}`` to images [3, H, W] or volumes [1, H, W, planes], float32 in [0, 1].

    Invert with ``monai.transforms.Invertd``. Compose wraps errors in RuntimeError: `medtap.errors.medtap_cause`
    gives the InputError that `medtap.data.read_scan` raised.
    """
    return Compose([_loader(key), *plane_transforms(axis, key).transforms])


def _loader(key: str) -> LoadImaged:
    """LoadImaged without the messages of MONAI's own readers, which it sets up although none of them is used."""
    logger = logging.getLogger("monai.data.nvimgcodec_pydicom_plugin")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return LoadImaged(key, reader=cast("Any", ScanReader()), ensure_channel_first=True, dtype=None)
    finally:
        logger.disabled = before


def _affine(volume: torch.Tensor) -> np.ndarray:
    return np.asarray(volume.affine.cpu()) if isinstance(volume, MetaTensor) else np.eye(4)


def _to_unit(tensor: torch.Tensor) -> torch.Tensor:
    window = window_of(tensor.meta) if isinstance(tensor, MetaTensor) else None
    scaled = None if window is None else windowed(tensor, *window)
    if scaled is not None:
        return scaled
    return tensor.to(torch.float32) / 255 if _is_eight_bit(tensor) else unit_range(tensor)


def _is_eight_bit(tensor: torch.Tensor) -> bool:
    stored = isinstance(tensor, MetaTensor) and bool(tensor.meta.get(EIGHT_BIT, False))
    return stored or (tensor.dtype == torch.uint8 and tensor.ndim == 3)


def _deep(values: torch.Tensor) -> bool:
    return values.dtype not in (torch.float16, torch.float32)


def _three_channels(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.ndim == 4:
        return tensor
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3):
        return tensor.expand(3, -1, -1)
    raise InputError("an image of other channels", expected="[1 or 3, H, W]", found=str(list(tensor.shape)))
