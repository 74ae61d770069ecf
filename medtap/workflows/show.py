"""One case as a picture, for notebooks: the image, its true mask as an outline, the found one as shading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from medtap.data import (
    Scan,
    plane_transforms,
    planes_of,
    read_labels,
    read_scan,
    resize_images,
    resize_masks,
    scan_tensor,
)
from medtap.datasets import Case
from medtap.errors import OptionError
from medtap.report import contact_sheet
from medtap.workflows.transforms import mask_name

_SIDE = 384


def show_case(
    case: Case, predictions: str | Path, classes: Sequence[str], plane: int | None = None, axis: str = "axial"
) -> Image.Image:
    """Draw a case with the mask that ``medtap predict`` wrote for it.

    Args:
        case: one of ``find_cases``.
        predictions: the folder that ``medtap predict`` wrote.
        classes: names of labels 1 to N.
        plane: of a volume, which plane; the one with most foreground when None.
        axis: of a volume, the planes' axis.

    Raises:
        InputError: the image or one of its masks cannot be read.
        OptionError: the volume has no such plane.
    """
    scan = read_scan(case.sources)
    found = _planes(read_labels(Path(predictions) / mask_name(case.name, case.image), scan), scan, axis)
    truth = found * 0
    if case.mask is not None:
        truth = _planes(read_labels(case.mask, scan, resize=case.resize_mask), scan, axis)
    index = _chosen(found + truth, plane)
    seen = plane_transforms(axis)({"image": scan_tensor(scan)})["image"].as_tensor()
    picture = (seen[..., index] if seen.ndim == 4 else seen).expand(3, -1, -1)
    shaped = [resize_masks(torch.from_numpy(labels[..., index].copy())[None], _SIDE) for labels in (truth, found)]
    return contact_sheet(resize_images(picture[None], _SIDE), shaped[0], classes, shaped[1])


def _planes(labels: np.ndarray, scan: Scan, axis: str) -> np.ndarray:
    """Labels as [H,W,planes]; an image is one plane."""
    return np.atleast_3d(planes_of(labels, scan.geometry, axis))


def _chosen(labels: np.ndarray, plane: int | None) -> int:
    if plane is None:
        return int((labels > 0).sum((0, 1)).argmax())
    if not 0 <= plane < labels.shape[2]:
        raise OptionError("the volume has no such plane", expected=f"0 to {labels.shape[2] - 1}", found=str(plane))
    return plane
