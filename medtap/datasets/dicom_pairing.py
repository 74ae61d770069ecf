"""DICOM masks paired with the series they refer to, and the names of their segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medtap.data.dicom_file import read_dataset, reading
from medtap.data.dicom_masks import is_dicom_mask
from medtap.data.dicom_names import references, regions_on
from medtap.datasets.cases import Case
from medtap.datasets.dicom import DicomCases


@dataclass(frozen=True)
class _Mask:
    path: Path
    references: set[str]
    frame: str


def pair_by_reference(images: DicomCases, masks: Sequence[Path]) -> dict[str, list[Path]]:
    """The DICOM masks of each case by its name: those that refer to it, or that share its frame of reference.

    Where a single mask and a single case are all there is, they belong together whatever they refer to.

    Raises:
        InputError: a damaged mask.
    """
    read = [_read(path) for path in masks if is_dicom_mask(path)]
    pairs: dict[str, list[Path]] = defaultdict(list)
    for mask in read:
        for name in _referred(mask, images):
            pairs[name].append(mask.path)
    if not pairs and len(read) == len(images.identities) == 1:
        return {next(iter(images.identities)): [read[0].path]}
    return pairs


def name_segments(cases: Sequence[Case], images: DicomCases) -> tuple[tuple[str, ...] | None, list[str]]:
    """Names of the classes of DICOM masks in the order in which they turn up, and warnings; None for other masks.

    Raises:
        InputError: a damaged mask.
    """
    names: dict[str, str] = {}
    warnings = []
    for case in cases:
        if case.mask is None or not is_dicom_mask(case.mask):
            return None, []
        dataset = read_dataset(case.mask, pixels=False)
        with reading(case.mask):
            found = regions_on(dataset, images.identities.get(case.name, set()))
            overlap = dataset.get("SegmentsOverlap") == "YES"
        for region in found:
            names.setdefault(region.name.casefold(), region.name)
        if overlap:
            warnings.append(f"the segments of {case.mask.name} overlap: the one of the higher number counts")
    return tuple(names.values()) or None, warnings


def _read(path: Path) -> _Mask:
    dataset = read_dataset(path, pixels=False)
    with reading(path):
        frames = [dataset, *(dataset.get("ReferencedFrameOfReferenceSequence") or [])]
        frame = next((str(item.FrameOfReferenceUID) for item in frames if item.get("FrameOfReferenceUID")), "")
        return _Mask(path, references(dataset), frame)


def _referred(mask: _Mask, images: DicomCases) -> list[str]:
    named = [name for name, identity in images.identities.items() if identity & mask.references]
    shared = [name for name, frame in images.frames.items() if frame and frame == mask.frame]
    return named or (shared if len(shared) == 1 else [])
