"""DICOM files as datasets: told from other files, read in silence, and judged by what they hold."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from medtap.data.scan import check_file
from medtap.errors import InputError

SUFFIXES = (".dcm", ".dicom", ".ima")

_LIBRARIES = ("pydicom", "highdicom", "pylibjpeg", "gdcm")
_LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"  # newer than the pydicom that names the others
_NO_IMAGES = {RTDoseStorage: "a radiotherapy dose", MediaStorageDirectoryStorage: "a DICOMDIR"}


class Kind(Enum):
    """What a DICOM object is to medtap."""

    IMAGE = "an image"
    SEGMENTATION = "a segmentation"
    STRUCTURES = "a radiotherapy structure set"
    OTHER = "no image"


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or, for names that say nothing, by its first bytes."""
    if path.name.lower().endswith(SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or _starts_as_dataset(start)


def _starts_as_dataset(start: bytes) -> bool:
    """Whether bytes without preamble begin with an element of group 2 or 8, as old files do."""
    if start[:2] not in (b"\x02\x00", b"\x08\x00") or len(start) < 132:
        return False
    explicit = start[4:6] in (b"UL", b"CS", b"UI", b"OB", b"SH", b"LO", b"DA")
    return explicit or (start[2:4] <= b"\x20\x00" and int.from_bytes(start[4:8], "little") < 128)


@contextmanager
def silence() -> Iterator[None]:
    """Keep libraries from warning and logging, since what they say holds values of tags."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes the libraries raise into an error that holds no value of it.

    Raises:
        InputError: anything went wrong within.
    """
    with silence():
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                "not a readable DICOM file",
                file=path,
                expected="a whole DICOM file",
                found=f"a file that is truncated or damaged ({type(error).__name__})",
                remedy="export it again from its source",
            ) from error


def read_dataset(path: Path, *, pixels: bool = True, tags: Sequence[str] | None = None) -> Dataset:
    """Read a file's dataset; one without preamble or file meta gets the transfer syntax that it is seen to have.

    Args:
        path: the file.
        pixels: whether to read the pixels too.
        tags: keywords of the elements to read; all where None.

    Raises:
        InputError: empty, truncated or damaged, no DICOM, or of unknown transfer syntax.
    """
    check_file(path)
    with reading(path):
        wanted = None if tags is None else list(tags)
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=not pixels, specific_tags=wanted)
        _check_dicom(dataset, path)
        _settle_syntax(dataset, path)
        return dataset


def kind_of(dataset: Dataset) -> Kind:
    """What a dataset is: by its class, and for images by the size they announce."""
    stored = dataset.get("SOPClassUID")
    if stored in (SegmentationStorage, _LABEL_MAP_STORAGE):
        return Kind.SEGMENTATION
    if stored == RTStructureSetStorage or "StructureSetROISequence" in dataset:
        return Kind.STRUCTURES
    return Kind.IMAGE if "Rows" in dataset and stored not in _NO_IMAGES else Kind.OTHER


def told_kind(dataset: Dataset) -> str:
    """Words for what a dataset is, by the name of its class alone."""
    stored = UID(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if stored in _NO_IMAGES:
        return _NO_IMAGES[stored]
    kind = kind_of(dataset)
    known = stored.name != str(stored)
    return f"no image but {stored.name}" if kind is Kind.OTHER and known else kind.value


def visible_files(folder: Path) -> list[Path]:
    """The files below a folder that are not hidden, in an order that no file system changes."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _check_dicom(dataset: Dataset, path: Path) -> None:
    if len(dataset) == 0 and not getattr(dataset, "file_meta", None):
        raise InputError("not a DICOM file", file=path, expected="DICOM", found="a file of another kind")


def _settle_syntax(dataset: Dataset, path: Path) -> None:
    meta = getattr(dataset, "file_meta", None)
    if meta is not None and "TransferSyntaxUID" in meta:
        return
    if meta:
        raise InputError(
            "no transfer syntax", file=path, expected="file meta information that names one",
            remedy="export it again from its source",
        )  # fmt: skip
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
