"""Files -> Scan: pixels as stored, geometry, and the way to what a network sees and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medtap.late_imports import imported_late

if TYPE_CHECKING:
    from medtap.data.dicom import DicomReader, read_dicom
    from medtap.data.images import ImageFileReader, read_image
    from medtap.data.masks import labels_of, read_labels
    from medtap.data.nifti import NiftiReader, read_nifti
    from medtap.data.planes import AXES, planes_of, stored_of
    from medtap.data.readers import SUFFIXES, ScanReader, is_readable, read_scan, split_suffix
    from medtap.data.resize import resize_images, resize_masks
    from medtap.data.scan import FILES, INVERTED, SPACING, WINDOW, Geometry, Scan, scan_of, scan_tensor
    from medtap.data.transforms import ThreeChannelsd, ToPlanesd, ToUnitRanged, image_transforms, plane_transforms

__all__ = [
    "AXES",
    "FILES",
    "INVERTED",
    "SPACING",
    "SUFFIXES",
    "WINDOW",
    "DicomReader",
    "Geometry",
    "ImageFileReader",
    "NiftiReader",
    "Scan",
    "ScanReader",
    "ThreeChannelsd",
    "ToPlanesd",
    "ToUnitRanged",
    "image_transforms",
    "is_readable",
    "labels_of",
    "plane_transforms",
    "planes_of",
    "read_dicom",
    "read_image",
    "read_labels",
    "read_nifti",
    "read_scan",
    "resize_images",
    "resize_masks",
    "scan_of",
    "scan_tensor",
    "split_suffix",
    "stored_of",
]

__getattr__, __dir__ = imported_late(
    __name__,
    {
        "dicom": ("DicomReader", "read_dicom"),
        "images": ("ImageFileReader", "read_image"),
        "masks": ("labels_of", "read_labels"),
        "nifti": ("NiftiReader", "read_nifti"),
        "planes": ("AXES", "planes_of", "stored_of"),
        "readers": ("SUFFIXES", "ScanReader", "is_readable", "read_scan", "split_suffix"),
        "resize": ("resize_images", "resize_masks"),
        "scan": ("FILES", "INVERTED", "SPACING", "WINDOW", "Geometry", "Scan", "scan_of", "scan_tensor"),
        "transforms": ("ThreeChannelsd", "ToPlanesd", "ToUnitRanged", "image_transforms", "plane_transforms"),
    },
)
