"""Masks of DICOM images and series, as DICOM SEG that refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from medtap._version import __version__
from medtap.data.dicom import slice_order
from medtap.data.dicom_file import read_dataset, reading, silence
from medtap.data.dicom_plane import frame_planes
from medtap.errors import OutputError
from medtap.outputs.atomic import atomic_write
from medtap.outputs.dicom_repair import check_identity, repaired
from medtap.outputs.labels import to_bytes
from medtap.outputs.segment_codes import segment_codes

SUFFIX = ".seg.dcm"
_NO_DATE, _NO_TIME = "19000101", "000000"


@dataclass(frozen=True)
class SegOrigin:
    """What made a mask, as the SEG tells it.

    Args:
        classes: names of the labels 1 to N.
        adapter_sha256: hash of the adapter.
        method: name of the adapter's method.
    """

    classes: tuple[str, ...]
    adapter_sha256: str = ""
    method: str = ""


def write_dicom_seg(labels: np.ndarray, path: str | Path, sources: Sequence[Path], origin: SegOrigin) -> list[str]:
    """Write a label map as binary DICOM SEG of one segment a class, atomically; the same input gives the same bytes.

    Args:
        labels: [H, W] of an image, or [columns, rows, slices] of a series, as `medtap.data.read_dicom` gives them.
        path: the file.
        sources: the files of the image or series.
        origin: names of the classes, and what made the mask.

    Returns:
        Keywords of attributes that the source lacked and that were repaired on a copy.

    Raises:
        InputError: the source cannot be read, or lacks an identifier that a SEG needs.
        OutputError: the labels do not fit the source, or the file cannot be written.
    """
    path = Path(path)
    datasets = [read_dataset(file, pixels=False) for file in sources]
    order = slice_order(datasets, sources)
    planes = to_bytes(_planes(labels), 3, path, most=len(origin.classes))
    placed = labels.ndim == 3
    _check_grid(planes.shape, (len(order), datasets[0].Rows, datasets[0].Columns), path)
    for dataset, file in zip(datasets, sources, strict=True):
        check_identity(dataset, file, placed=placed)
    with reading(sources[0]):
        copies = [repaired(dataset) for dataset in datasets]
        source, stack = _arranged([copy for copy, _ in copies], planes, order)
        seg = _segmentation(source, stack, origin, placed=placed)
    with atomic_write(path) as temporary, silence():
        seg.save_as(temporary)
    return sorted({keyword for _, changed in copies for keyword in changed})


def _check_grid(found: tuple[int, ...], expected: tuple[int, ...], path: Path) -> None:
    if found != expected:
        raise OutputError("the mask is not on its source's grid", file=path, expected=str(expected), found=str(found))


def _planes(labels: np.ndarray) -> np.ndarray:
    """[planes, rows, columns] of labels as stored."""
    return labels[None] if labels.ndim == 2 else labels.transpose(2, 1, 0)


def _arranged(
    datasets: Sequence[Dataset], planes: np.ndarray, order: Sequence[tuple[int, int]]
) -> tuple[list[Dataset], np.ndarray]:
    """Sources and planes as highdicom wants them: files in the planes' order, or planes in the one file's order."""
    if len(datasets) > 1:
        return [datasets[file] for file, _ in order], planes
    if len(order) == 1:
        return [_single_frame(datasets[0])], planes
    stack = np.empty_like(planes)
    stack[[frame - 1 for _, frame in order]] = planes
    return list(datasets), stack


def _single_frame(dataset: Dataset) -> Dataset:
    """Drop the number of frames, by which highdicom takes an object for one of functional groups."""
    if "PerFrameFunctionalGroupsSequence" not in dataset and "NumberOfFrames" in dataset:
        del dataset.NumberOfFrames
    return dataset


def _segmentation(sources: list[Dataset], stack: np.ndarray, origin: SegOrigin, *, placed: bool) -> Segmentation:
    first = sources[0]
    entropy = [*(str(source.SOPInstanceUID) for source in sources), origin.adapter_sha256, *origin.classes]
    seg = Segmentation(
        source_images=sources,
        pixel_array=stack,
        segmentation_type="BINARY",
        segment_descriptions=_descriptions(origin),
        series_instance_uid=generate_uid(entropy_srcs=[*entropy, "series"]),
        series_number=_series_number(first),
        sop_instance_uid=generate_uid(entropy_srcs=[*entropy, "instance"]),
        instance_number=1,
        manufacturer="medtap",
        manufacturer_model_name="medtap",
        software_versions=__version__,
        device_serial_number=origin.adapter_sha256[:16] or "0",
        content_label="SEGMENTATION",
        content_description="Few-shot segmentation by an adapted network",
        pixel_measures=_measures(sources) if placed and "PerFrameFunctionalGroupsSequence" not in first else None,
        omit_empty_frames=bool(stack.any()),
        series_description="medtap segmentation",
    )
    _settle(seg, first, generate_uid(entropy_srcs=[*entropy, "dimensions"]))
    return seg


def _descriptions(origin: SegOrigin) -> list[SegmentDescription]:
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="medtap",
        family=codes.cid7162.ArtificialIntelligence,
        version=__version__,
        source="medtap",
        parameters={"method": origin.method, "adapter_sha256": origin.adapter_sha256},
    )
    found = []
    for number, name in enumerate(origin.classes, start=1):
        category, kind = segment_codes(name)
        found.append(
            SegmentDescription(
                segment_number=number,
                segment_label=name[:64],
                segmented_property_category=category,
                segmented_property_type=kind,
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
            )
        )
    return found


def _measures(sources: Sequence[Dataset]) -> highdicom.PixelMeasuresSequence:
    """Spacing, thickness and distance of slices; the thickness is the distance where the source does not say."""
    planes = [frame_planes(source, Path())[0] for source in sources]  # type: ignore[index]
    along = [float(plane.position @ planes[0].normal) for plane in planes]
    step = (along[-1] - along[0]) / (len(along) - 1) if len(along) > 1 else None
    thickness = float(sources[0].get("SliceThickness") or 0) or step or planes[0].thickness
    return highdicom.PixelMeasuresSequence(
        pixel_spacing=planes[0].spacing,
        slice_thickness=round(thickness, 6),
        spacing_between_slices=None if step is None else round(step, 6),
    )


def _series_number(source: Dataset) -> int:
    return int(source.get("SeriesNumber") or 0) % 10000 * 100 + 1


def _settle(seg: Segmentation, source: Dataset, dimensions: str) -> None:
    """Put what highdicom takes from the clock and from chance into the terms of the source."""
    content = {
        "ContentDate": source.get("SeriesDate") or source.get("StudyDate") or _NO_DATE,
        "ContentTime": source.get("SeriesTime") or source.get("StudyTime") or _NO_TIME,
    }
    for keyword, value in content.items():
        setattr(seg, keyword, value)
    if "FrameOfReferenceUID" not in seg or "ImagePositionPatient" not in source:
        seg.PatientOrientation = source.get("PatientOrientation") or ""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime"):
        if keyword in seg:
            del seg[keyword]
    for item in [*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence]:
        item.DimensionOrganizationUID = dimensions
    for item in seg.get("ContributingEquipmentSequence") or []:
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
