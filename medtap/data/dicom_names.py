"""What DICOM masks name and refer to: the labels of their segments, and the images they were drawn on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from medtap.data.dicom_file import Kind, kind_of
from medtap.errors import InputError

_LONGEST_NAME = 64


@dataclass(frozen=True)
class Region:
    """One segment of a SEG or one region of a structure set.

    Args:
        number: its number in the file.
        name: its label, without blanks at the ends; ``segment 3`` where it has none.
    """

    number: int
    name: str


def regions(dataset: Dataset) -> tuple[Region, ...]:
    """Segments but for the background, or regions with contours, by their numbers."""
    if kind_of(dataset) is Kind.SEGMENTATION:
        found = [(int(item.SegmentNumber), item.get("SegmentLabel")) for item in dataset.SegmentSequence]
        found = [(number, name) for number, name in found if number > 0]
    else:
        drawn = {int(item.ReferencedROINumber) for item in _contoured(dataset)}
        found = [(int(item.ROINumber), item.get("ROIName")) for item in dataset.StructureSetROISequence]
        found = [(number, name) for number, name in found if number in drawn]
    return tuple(Region(number, _tidy(name) or f"segment {number}") for number, name in sorted(found))


def choose_labels(found: Sequence[Region], classes: Sequence[str] | int | None, path: Path) -> dict[int, int]:
    """Which label 1 to N each region gets: by name where any name is a class, else in their order.

    Args:
        found: the regions of a mask.
        classes: names of the labels 1 to N, or only N; None takes all regions.
        path: the mask, for messages.

    Returns:
        Region number -> label. Regions that no class is called after are left out.

    Raises:
        InputError: no region is called as a class, and they are not as many.
    """
    names = [] if classes is None or isinstance(classes, int) else [_tidy(name).casefold() for name in classes]
    by_name = {region.number: names.index(region.name.casefold()) + 1
               for region in found if region.name.casefold() in names}  # fmt: skip
    if by_name:
        return by_name
    count = len(found) if classes is None else classes if isinstance(classes, int) else len(classes)
    if count != len(found):
        raise InputError(
            "segments that are not the classes", file=path, expected=f"{count} segments, or names of the classes",
            found=", ".join(region.name for region in found) or "none",
            remedy="name the segments that are meant with --classes",
        )  # fmt: skip
    return {region.number: label for label, region in enumerate(found, start=1)}


def references(dataset: Dataset) -> set[str]:
    """Every SOP instance and series that a dataset refers to."""
    return set(_references(dataset))


def regions_on(dataset: Dataset, instances: set[str]) -> tuple[Region, ...]:
    """The regions that lie on some images, by the contours' references; all where contours have none."""
    found = regions(dataset)
    if kind_of(dataset) is Kind.SEGMENTATION:
        return found
    images = {int(item.ReferencedROINumber): references(item) for item in _contoured(dataset)}
    on = tuple(region for region in found if not images[region.number] or images[region.number] & instances)
    return on or found


def _contoured(dataset: Dataset) -> list[Dataset]:
    return [item for item in dataset.get("ROIContourSequence") or [] if item.get("ContourSequence")]


def _references(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _references(item)
        elif element.keyword in ("ReferencedSOPInstanceUID", "SeriesInstanceUID") and element.value:
            yield str(element.value)


def _tidy(name: object) -> str:
    printable = "".join(character for character in str(name or "") if character.isprintable())
    return " ".join(printable.split())[:_LONGEST_NAME]
