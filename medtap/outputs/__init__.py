"""Everything medtap writes: masks in the inputs' own formats, tables, and the folder of a run."""

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
