"""What comes before and after the network, as MONAI dictionary transforms that bundles name too."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscreted, Compose, Invertd, MapTransform

from medtap.data import SPACING, image_transforms, read_labels, scan_of, split_suffix
from medtap.outputs import RunFolder, write_nifti_mask, write_png_mask


class LoadLabelsd(MapTransform):
    """Read masks onto the grid of their image as stored: [1,H,W] or [1,X,Y,Z] uint8. Stands after the image's loading.

    Args:
        keys: the paths of masks.
        image_key: the loaded image, as stored.
        threshold: foreground is what lies above it; None where masks hold labels.
        classes: number of classes N; labels above are refused.
    """

    def __init__(
        self, keys: str, image_key: str = "image", threshold: float | None = None, classes: int | None = None
    ) -> None:
        super().__init__(keys)
        self.image_key, self.threshold, self.classes = image_key, threshold, classes

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` with labels in place of paths."""
        out = dict(data)
        image = scan_of(out[self.image_key])
        resize = bool(out.get("resize_mask", False))
        for key in self.key_iterator(out):
            labels = read_labels(out[key], image, threshold=self.threshold, resize=resize, classes=self.classes)
            out[key] = MetaTensor(torch.from_numpy(labels[None]), meta={SPACING: out[self.image_key].meta[SPACING]})
        return out


class SaveMaskd(MapTransform):
    """Write label maps [1,H,W] as PNG and [1,X,Y,Z] as NIfTI, at the case's name below a run's folder.

    Args:
        keys: label maps on the grid of their image as stored.
        run: the open run folder.
        classes: number of classes N.
        image_key: the image, whose meta data names the source.
    """

    def __init__(self, keys: str, run: RunFolder, classes: int = 1, image_key: str = "image") -> None:
        super().__init__(keys)
        self.run, self.classes, self.image_key = run, classes, image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """``data``, once its masks are written."""
        for key in self.key_iterator(dict(data)):
            labels = np.asarray(torch.as_tensor(data[key])[0].cpu()).astype(np.uint8)
            source = Path(data[self.image_key].meta["filename_or_obj"])
            path = self.run.file(mask_name(str(data["name"]), source))
            if labels.ndim == 2:
                write_png_mask(labels, path, self.classes)
            else:
                write_nifti_mask(labels, path, source)
        return dict(data)


def mask_name(case: str, source: str | Path) -> str:
    """Relative path of a case's mask: volumes keep their suffix, images become PNG."""
    suffix = split_suffix(Path(source))[1].lower()
    return case + (suffix if suffix in (".nii", ".nii.gz") else ".png")


def evaluation_transforms(axis: str, threshold: float | None = None, classes: int | None = None) -> Compose:
    """``image_transforms`` with the labels read beside the image, kept on its stored grid."""
    load, *rest = image_transforms(axis).transforms
    return Compose([load, LoadLabelsd("label", threshold=threshold, classes=classes), *rest])


def to_labels(preprocessing: Compose) -> Compose:
    """From logits ``pred`` [N+1,H,W(,D)] to labels [1,...] on the grid of the image as stored.

    Args:
        preprocessing: what the image went through, to be inverted.
    """
    return Compose(
        [
            AsDiscreted("pred", argmax=True),
            Invertd("pred", transform=preprocessing, orig_keys="image", nearest_interp=True, to_tensor=True),
        ]
    )
