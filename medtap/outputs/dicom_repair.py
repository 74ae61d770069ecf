"""What a SEG takes over from its source: refused where it cannot be made up, empty where the standard allows."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from pydicom import Dataset
from pydicom.charset import python_encoding

from medtap.errors import InputError

NEEDED = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
EMPTY = (
    "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of type 2 (PS3.3 C.7): there, and empty where nobody knows."""


def check_identity(dataset: Dataset, path: Path, *, placed: bool) -> None:
    """Refuse a source that a SEG could not refer to.

    Args:
        dataset: the source.
        path: its file.
        placed: whether it lies in a patient, as CT and MR do.

    Raises:
        InputError: an identifier that nobody may make up is missing.
    """
    missing = [keyword for keyword in NEEDED if not _has(dataset, keyword)]
    if (placed or dataset.get("Modality") in ("CT", "MR", "PT")) and not dataset.get("FrameOfReferenceUID"):
        missing.append("FrameOfReferenceUID")
    if missing:
        raise InputError(
            "a DICOM SEG cannot be written for it", file=path, expected=", ".join(missing), found="none in the source",
            remedy="export the series with its identifiers, or convert it to NIfTI",
        )  # fmt: skip


def repaired(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """A copy of a source with what a SEG needs of it, and the keywords of what had to be repaired."""
    copy = deepcopy(dataset)
    changed = [keyword for keyword in EMPTY if keyword not in copy]
    for keyword in changed:
        setattr(copy, keyword, "")
    if not _known_characters(copy):
        copy.SpecificCharacterSet = "ISO_IR 192"
        changed.append("SpecificCharacterSet")
    if "Modality" not in copy:
        copy.Modality = "OT"
        changed.append("Modality")
    if "ImagePositionPatient" not in copy and "PatientOrientation" not in copy:
        copy.PatientOrientation = ""
        changed.append("PatientOrientation")
    return copy, changed


def repair_warning(case: str, changed: Sequence[str]) -> list[str]:
    """What to tell of repairs: keywords, and no values."""
    if not changed:
        return []
    return [f"{case}: {', '.join(changed)} missing or unusable in the source, empty or set anew in the SEG"]


def _has(dataset: Dataset, keyword: str) -> bool:
    """Whether an identifier is there; a patient's may be empty, as the standard allows."""
    return keyword in dataset and (keyword == "PatientID" or bool(dataset[keyword].value))


def _known_characters(dataset: Dataset) -> bool:
    """Whether the character set is one, or absent, which means ASCII."""
    if "SpecificCharacterSet" not in dataset:
        return True
    value = dataset.SpecificCharacterSet
    names = [value] if isinstance(value, str) or value is None else list(value)
    return bool(names) and all(name in python_encoding and name for name in names)
