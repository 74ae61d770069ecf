"""Small DICOM files for tests: images, slices and whole series with the attributes that matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

PATIENT = "Doe^Jane^Secret"
LPS = np.diag([-1.0, -1.0, 1.0])
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}


def image_dataset(pixels: np.ndarray, modality: str = "OT", **attributes: Any) -> Dataset:
    """A dataset of [H, W] or [H, W, 3] with the identifiers that a SEG needs; attributes of None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CLASSES.get(modality, SecondaryCaptureImageStorage)
    dataset.PatientName, dataset.PatientID = PATIENT, "Secret-ID"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = (
        "19700101",
        "O",
        "20200101",
        "1200",
    )
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A1", "S1", "Doctor^Secret"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID, dataset.Modality = generate_uid(), modality
    dataset.SeriesNumber, dataset.InstanceNumber = 7, 1
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for keyword, value in attributes.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    """Write a dataset as a DICOM file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", SecondaryCaptureImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    dataset.save_as(path, enforce_file_format=True)
    return path


def save_image(pixels: np.ndarray, path: Path, modality: str = "OT", **attributes: Any) -> Path:
    """Write pixels as a DICOM image."""
    return save(image_dataset(pixels, modality, **attributes), path)


def slice_attributes(affine: np.ndarray, index: int) -> dict[str, Any]:
    """Position, orientation and spacing of plane ``index`` of a volume [columns, rows, planes] with a RAS affine."""
    columns, rows = LPS @ affine[:3, 0], LPS @ affine[:3, 1]
    across, down = np.linalg.norm(columns), np.linalg.norm(rows)
    return {
        "ImagePositionPatient": list(LPS @ (affine @ [0, 0, index, 1])[:3]),
        "ImageOrientationPatient": [*(columns / across), *(rows / down)],
        "PixelSpacing": [down, across],
        "SliceThickness": float(np.linalg.norm(affine[:3, 2])),
    }


def save_series(
    voxels: np.ndarray, folder: Path, affine: np.ndarray, modality: str = "MR", **attributes: Any
) -> list[Path]:
    """Write a volume [columns, rows, planes] as a series whose file names say nothing of the order."""
    common = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(),
              "FrameOfReferenceUID": generate_uid()} | attributes  # fmt: skip
    shuffled = np.random.default_rng(3).permutation(voxels.shape[2])
    return [
        save_image(
            np.ascontiguousarray(voxels[..., index].T), folder / f"im{name:03d}", modality,
            **(slice_attributes(affine, index) | {"InstanceNumber": int(index) + 1} | common),
        )
        for name, index in enumerate(shuffled)
    ]  # fmt: skip


def save_frames(voxels: np.ndarray, path: Path, affine: np.ndarray, modality: str = "MR", **attributes: Any) -> Path:
    """Write a volume [columns, rows, planes] as one multi-frame object, its frames from the last plane to the first."""
    frames = np.ascontiguousarray(voxels.transpose(2, 1, 0)[::-1])
    places = [slice_attributes(affine, index) for index in reversed(range(len(frames)))]
    per_frame = [
        _group("PlanePositionSequence", ImagePositionPatient=place["ImagePositionPatient"]) for place in places
    ]
    shared = _group("PlaneOrientationSequence", ImageOrientationPatient=places[0]["ImageOrientationPatient"])
    measures = {key: places[0][key] for key in ("PixelSpacing", "SliceThickness")}
    shared.update(_group("PixelMeasuresSequence", **measures))
    groups = {"PerFrameFunctionalGroupsSequence": per_frame, "SharedFunctionalGroupsSequence": [shared]}
    stored = {"NumberOfFrames": len(frames), "PixelData": frames.tobytes(), "FrameOfReferenceUID": generate_uid()}
    return save_image(frames[0], path, modality, **(groups | stored | attributes))


def _group(sequence: str, **values: Any) -> Dataset:
    group, item = Dataset(), Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    setattr(group, sequence, [item])
    return group
