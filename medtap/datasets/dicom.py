"""DICOM files told apart into series, and the masks that refer to them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset

from medtap.data.dicom_file import Kind, is_dicom, kind_of, read_dataset, reading, told_kind
from medtap.datasets.cases import Case
from medtap.datasets.listing import case_name
from medtap.errors import InputError

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "FrameOfReferenceUID", "Rows",
    "NumberOfFrames", "ImagePositionPatient", "PhotometricInterpretation", "StructureSetROISequence",
)  # fmt: skip


@dataclass
class DicomCases:
    """What the DICOM files of a folder are.

    Attributes:
        cases: one for each series of slices, and for each image without position and each multi-frame object.
        identities: instance and series UIDs of each case by its name, which masks refer to; never shown.
        frames: frame of reference of each case by its name; never shown.
        skipped: (file, reason) of what is no image.
        warnings: what a user should know.
    """

    cases: list[Case] = field(default_factory=list)
    identities: dict[str, set[str]] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Header:
    path: Path
    series: str
    instance: str
    number: str
    frame: str
    alone: bool
    inverted: bool


def find_series(files: Iterable[Path], root: Path) -> DicomCases:
    """Cases of the DICOM files among ``files``, named ``<folder>/<series number>`` below the root.

    A series whose slices lie in several folders is one case; copies of one series in several folders are one each.
    A file that cannot be read is a case of its own, that fails when its turn comes.
    """
    found, headers = DicomCases(), []
    for path in files:
        if not is_dicom(path):
            continue
        try:
            dataset = read_dataset(path, pixels=False, tags=_TAGS)
            if kind_of(dataset) is Kind.IMAGE:
                headers.append(_header(dataset, path))
            else:
                found.skipped.append((path, told_kind(dataset)))
        except InputError:
            found.cases.append(Case(case_name(path, root), path))
    _add_series(found, headers, root)
    inverted = sum(header.inverted for header in headers)
    found.warnings += [f"{inverted} images are stored as MONOCHROME1 and are inverted"] if inverted else []
    found.cases.sort(key=lambda case: case.name)
    return found


def _header(dataset: Dataset, path: Path) -> _Header:
    with reading(path):
        placed = "ImagePositionPatient" in dataset and int(dataset.get("NumberOfFrames") or 1) == 1
        return _Header(
            path,
            str(dataset.get("SeriesInstanceUID", "")),
            str(dataset.get("SOPInstanceUID", "")),
            "" if dataset.get("SeriesNumber") is None else str(int(dataset.SeriesNumber)),
            str(dataset.get("FrameOfReferenceUID") or ""),
            alone=not placed or not dataset.get("SeriesInstanceUID"),
            inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
        )


def _add_series(found: DicomCases, headers: Sequence[_Header], root: Path) -> None:
    groups = [[header] for header in headers if header.alone] + _grouped(
        header for header in headers if not header.alone
    )
    names = [_name(group, root) for group in groups]
    counts = Counter(names)
    for name, group in zip(names, groups, strict=True):
        unique = name if counts[name] == 1 else f"{name}-{group[0].path.stem}"
        files = tuple(header.path for header in group)
        found.cases.append(Case(unique, files[0], files=files if len(files) > 1 else ()))
        found.identities[unique] = {header.instance for header in group} | {group[0].series}
        found.frames[unique] = group[0].frame


def _grouped(headers: Iterable[_Header]) -> list[list[_Header]]:
    """Slices by series; by folder too where folders hold the same slices."""
    by_series: dict[str, list[_Header]] = defaultdict(list)
    for header in headers:
        by_series[header.series].append(header)
    return [group for series in by_series.values() for group in _copies(series)]


def _copies(series: list[_Header]) -> list[list[_Header]]:
    by_folder: dict[Path, list[_Header]] = defaultdict(list)
    for header in series:
        by_folder[header.path.parent].append(header)
    instances = [instance for group in by_folder.values() for instance in {header.instance for header in group}]
    return list(by_folder.values()) if len(set(instances)) < len(instances) else [series]


def _name(group: Sequence[_Header], root: Path) -> str:
    folder = Path(os.path.commonpath([header.path.parent for header in group])).relative_to(root)
    own = group[0].path.stem if len(group) == 1 else "series"
    return (folder / (group[0].number or own)).as_posix()
