"""Everything medtap writes: masks in the inputs' own formats, tables, and the folder of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medtap.late_imports import imported_late

if TYPE_CHECKING:
    from medtap.outputs.atomic import atomic_write
    from medtap.outputs.dicom_seg import SegOrigin, write_dicom_seg
    from medtap.outputs.folder import RunFolder
    from medtap.outputs.nifti import write_nifti_mask
    from medtap.outputs.png import write_png_mask
    from medtap.outputs.tables import write_csv, write_json

__all__ = [
    "RunFolder",
    "SegOrigin",
    "atomic_write",
    "write_csv",
    "write_dicom_seg",
    "write_json",
    "write_nifti_mask",
    "write_png_mask",
]

__getattr__, __dir__ = imported_late(
    __name__,
    {
        "atomic": ("atomic_write",),
        "dicom_seg": ("SegOrigin", "write_dicom_seg"),
        "folder": ("RunFolder",),
        "nifti": ("write_nifti_mask",),
        "png": ("write_png_mask",),
        "tables": ("write_csv", "write_json"),
    },
)
