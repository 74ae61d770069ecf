"""What comes before and after the network, as MONAI dictionary transforms that bundles name too."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Lambdad, MapTransform

from medtap.data import FILES, SPACING, image_transforms, read_labels, scan_of, split_suffix
from medtap.data.dicom_file import SUFFIXES as DICOM_SUFFIXES
from medtap.data.dicom_file import is_dicom
from medtap.outputs import RunFolder, SegOrigin, write_dicom_seg, write_nifti_mask, write_png_mask
from medtap.outputs.dicom_repair import repair_warning
from medtap.outputs.dicom_seg import SUFFIX as SEG_SUFFIX
from medtap.support_shape import ClassShape
from medtap.workflows.clean import cleaning, plane_cleaning


class LoadLabelsd(MapTransform):
    """Read masks onto the grid of their image as stored: [1,H,W] or [1,X,Y,Z] uint8. Stands after the image's loading.

    Args:
        keys: the paths of masks.
        image_key: the loaded image, as stored.
        threshold: foreground is what lies above it; None where masks hold labels.
        classes: number of classes N or their names; labels above are refused, segments of other names left out.
    """

    def __init__(
        self,
        keys: str,
        image_key: str = "image",
        threshold: float | None = None,
        classes: int | Sequence[str] | None = None,
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


class LargestLogitd(MapTransform):
    """Logits [N+1,...] to labels [1,...] uint8, the lowest one of equals, in a fraction of the memory of an argmax."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A copy of ``data`` with labels in place of logits."""
        out = dict(data)
        for key in self.key_iterator(out):
            background, *others = out[key].as_subclass(torch.Tensor)
            best, labels = background.clone(), torch.zeros_like(background, dtype=torch.uint8)
            for label, logits in enumerate(others, start=1):
                labels[logits > best] = label
                best = torch.maximum(best, logits)
            out[key] = MetaTensor(labels[None])  # Invertd passes over what is none
        return out


class SaveMaskd(MapTransform):
    """Write label maps at the case's name below a run's folder, in the format of their images.

    Images become PNG [1,H,W], NIfTI volumes NIfTI [1,X,Y,Z], DICOM images and series DICOM SEG.

    Args:
        keys: label maps on the grid of their image as stored.
        run: the open run folder.
        classes: the names of the classes, or only their number N.
        image_key: the image, whose meta data names the source.
        adapter_sha256: hash of the adapter, which DICOM SEG tells.
        method: name of the adapter's method, which DICOM SEG tells.

    Attributes:
        warnings: what had to be repaired to write DICOM SEG.
    """

    def __init__(
        self,
        keys: str,
        run: RunFolder,
        classes: int | Sequence[str] = 1,
        image_key: str = "image",
        adapter_sha256: str = "",
        method: str = "",
    ) -> None:
        super().__init__(keys)
        names = _numbered(classes) if isinstance(classes, int) else tuple(classes)
        self.run, self.image_key, self.origin = run, image_key, SegOrigin(names, adapter_sha256, method)
        self.warnings: list[str] = []

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """``data``, once its masks are written.

        Raises:
            InputError: a DICOM source lacks what a SEG needs.
            OutputError: a mask cannot be written.
        """
        for key in self.key_iterator(dict(data)):
            labels = np.asarray(torch.as_tensor(data[key])[0].cpu()).astype(np.uint8)
            self._write(labels, str(data["name"]), data[self.image_key].meta)
        return dict(data)

    def _write(self, labels: np.ndarray, case: str, meta: Mapping[Any, Any]) -> None:
        sources = [Path(file) for file in meta.get(FILES) or (meta["filename_or_obj"],)]
        path = self.run.file(mask_name(case, sources[0]))
        if path.name.endswith(SEG_SUFFIX):
            repairs = write_dicom_seg(labels, path, sources, self.origin)
            self.warnings += repair_warning(case, repairs)
        elif labels.ndim == 2:
            write_png_mask(labels, path, len(self.origin.classes))
        else:
            write_nifti_mask(labels, path, sources[0])


def mask_name(case: str, source: str | Path | Sequence[str]) -> str:
    """Relative path of a case's mask: NIfTI keeps its suffix, DICOM becomes ``.seg.dcm``, images become PNG.

    Args:
        case: the case's name.
        source: its image; of a series any file, or all.
    """
    first = Path(source if isinstance(source, (str, Path)) else source[0])
    suffix = split_suffix(first)[1].lower()
    if suffix in (".nii", ".nii.gz"):
        return case + suffix
    return case + (SEG_SUFFIX if suffix in DICOM_SUFFIXES or (not suffix and is_dicom(first)) else ".png")


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class{label}" for label in range(1, count + 1))


def evaluation_transforms(
    axis: str, threshold: float | None = None, classes: int | Sequence[str] | None = None
) -> Compose:
    """``image_transforms`` with the labels read beside the image, kept on its stored grid."""
    load, *rest = image_transforms(axis).transforms
    return Compose([load, LoadLabelsd("label", threshold=threshold, classes=classes), *rest])


def to_labels(
    preprocessing: Compose, clean: str = "none", classes: int = 1, shapes: Sequence[ClassShape] = ()
) -> Compose:
    """From logits ``pred`` [N+1,H,W(,D)] to labels [1,...] on the grid of the image as stored.

    Args:
        preprocessing: what the image went through, to be inverted.
        clean: how label maps are cleaned, a name in `medtap.workflows.clean.CLEANING`.
        classes: number of classes N.
        shapes: of the classes in the support masks, for ``auto``.

    Raises:
        OptionError: no such way of cleaning.
    """
    by_planes = plane_cleaning(shapes) if clean == "auto" else []
    return Compose(
        [
            LargestLogitd("pred"),
            *(Lambdad("pred", func=step) for step in by_planes),
            Invertd("pred", transform=preprocessing, orig_keys="image", nearest_interp=True, to_tensor=True),
            *(Lambdad("pred", func=step) for step in cleaning(clean, classes)),
        ]
    )
