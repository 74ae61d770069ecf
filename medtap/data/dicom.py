"""DICOM images: one file, the files of a series, or a folder of them -> Scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data.image_reader import ImageReader
from pydicom import Dataset

from medtap.data.dicom_file import Kind, is_dicom, kind_of, read_dataset, reading, told_kind, visible_files
from medtap.data.dicom_pixels import Frame, Window, decodable, decode_frame
from medtap.data.dicom_plane import Plane, frame_planes, in_plane_spacing, stack_planes
from medtap.data.scan import Geometry, Scan, array_and_meta, check_finite, paths_of, voxel_sizes
from medtap.errors import InputError


@dataclass(frozen=True, eq=False)
class _Slice:
    """A frame of a file, counted from 1, with its place in the patient where that is known."""

    file: int
    frame: int
    plane: Plane | None


class DicomReader(ImageReader):
    """DICOM as a MONAI reader: a file, a folder that holds one series, or a list of a series' files.

    ``read`` only names the files and ``get_data`` decodes them: an error in ``read`` would make LoadImage fall back
    to MONAI's own readers, which accept what medtap refuses.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the files are DICOM, by their names or first bytes."""
        return all(path.is_dir() or is_dicom(path) for path in paths_of(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[Path, ...]:  # noqa: ARG002
        """The paths named by ``data``."""
        return paths_of(data)

    def get_data(self, img: tuple[Path, ...]) -> tuple[np.ndarray, dict[str, Any]]:
        """Image [H, W(, 3)] or volume [X, Y, Z] as floating point and its meta data; raises as `read_dicom` does."""
        return array_and_meta(read_dicom(img))


def read_dicom(paths: Sequence[PathLike] | PathLike, *, frame: int | None = None) -> Scan:
    """Read an image without position (radiographs, secondary captures, ...) or the slices of one series.

    Pixels are rescaled (CT: Hounsfield units) and larger where brighter; MONOCHROME1 is inverted within the range of
    its bits, which ``Scan.inverted`` records. ``Scan.window`` is the first VOI window, for volumes the median of the
    slices' windows; MR, PET and scintigraphy have none, for their values are in no unit.

    Args:
        paths: a file, a folder of one series, or the files of a series in any order.
        frame: the frame to read of an object of several, counted from 1; needed where they have no positions.

    Returns:
        Scan of [H, W] or [H, W, 3]; or of [columns, rows, slices] for slices that lie in a patient, sorted along their
        normal, one plane for a single slice. ``Scan.files`` is in the order of the slices.

    Raises:
        InputError: truncated, damaged, no image, no codec, mixed series, missing or duplicate slices, or several
            frames without positions.
    """
    files = _files(paths_of(paths))
    datasets = [read_dataset(path, pixels=False) for path in files]
    _check_images(datasets, files)
    slices, affine = _ordered(datasets, files, frame)
    if affine is None:
        return _image(files[0], slices[0].frame)
    ordered = [files[item.file] for item in slices]
    frames = list(_frames(files, slices))
    volume = _stacked(frames)
    check_finite(volume, files[0])
    x, y, z = voxel_sizes(affine).tolist()
    geometry = Geometry(affine, volume.shape, (x, y, z))
    return Scan(volume, geometry, ordered[0], tuple(dict.fromkeys(ordered)), _shared_window(frames), frames[0].inverted)


def slice_order(datasets: Sequence[Dataset], files: Sequence[Path]) -> list[tuple[int, int]]:
    """(index of the file, frame counted from 1) of each plane of what `read_dicom` reads of these files.

    Raises:
        InputError: as `read_dicom`.
    """
    return [(item.file, item.frame) for item in _ordered(datasets, files, None)[0]]


def _files(paths: tuple[Path, ...]) -> list[Path]:
    if len(paths) != 1 or not paths[0].is_dir():
        return list(paths)
    tags = ("SOPClassUID", "Rows", "StructureSetROISequence")
    found = [path for path in visible_files(paths[0]) if is_dicom(path)]
    images = [path for path in found if kind_of(read_dataset(path, pixels=False, tags=tags)) is Kind.IMAGE]
    if not images:
        raise InputError("no DICOM image in the folder", file=paths[0], found=f"{len(found)} other DICOM files")
    return images


def _check_images(datasets: Sequence[Dataset], files: Sequence[Path]) -> None:
    for dataset, path in zip(datasets, files, strict=True):
        if kind_of(dataset) is not Kind.IMAGE:
            raise InputError("not an image", file=path, expected="a DICOM image", found=told_kind(dataset))
        if dataset.get("SeriesInstanceUID") != datasets[0].get("SeriesInstanceUID"):
            raise InputError(
                "mixed series", file=path.parent, expected="files of one series",
                found=f"{files[0].name} and {path.name} of different ones",
                remedy="give the files of one series, or let medtap find the series of the folder",
            )  # fmt: skip


def _ordered(
    datasets: Sequence[Dataset], files: Sequence[Path], frame: int | None
) -> tuple[list[_Slice], np.ndarray | None]:
    """Slices in their order with the affine of their volume, or one frame of an image without affine."""
    slices = [item for index in range(len(files)) for item in _slices(datasets[index], index, files[index])]
    if frame is not None:
        slices = [_chosen(slices, frame, files)]
    planes = [item.plane for item in slices if item.plane is not None]
    if len(planes) == len(slices):
        order, affine = stack_planes(planes)
        return [slices[index] for index in order], affine
    if len(slices) > 1:
        raise _unplaced(len(slices), files)
    return slices, None


def _slices(dataset: Dataset, index: int, path: Path) -> list[_Slice]:
    with reading(path):
        count = int(dataset.get("NumberOfFrames") or 1)
        coloured = int(dataset.get("SamplesPerPixel") or 1) > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR"
        planes = None if coloured else frame_planes(dataset, path)
    return [_Slice(index, number + 1, planes[number] if planes else None) for number in range(count)]


def _chosen(slices: Sequence[_Slice], frame: int, files: Sequence[Path]) -> _Slice:
    if len(files) != 1 or not 1 <= frame <= len(slices):
        raise InputError(
            "no such frame", file=files[0], expected=f"one file and a frame of 1 to {len(slices)}", found=str(frame)
        )
    return slices[frame - 1]


def _unplaced(count: int, files: Sequence[Path]) -> InputError:
    what = "frames" if len(files) == 1 else "images"
    return InputError(
        f"several {what} without positions in a patient", file=files[0], expected="one image, or slices of a volume",
        found=f"{count} {what}", remedy="save the frame that is meant as a file of its own, or name it by read_dicom",
    )  # fmt: skip


def _image(path: Path, number: int) -> Scan:
    dataset = read_dataset(path)
    decoded = decode_frame(decodable(dataset, path), number, _modality(dataset), path)
    check_finite(decoded.pixels, path)
    with reading(path):
        spacing = in_plane_spacing(dataset)
    geometry = Geometry(np.eye(4), decoded.pixels.shape[:2], spacing)
    return Scan(decoded.pixels, geometry, path, (path,), decoded.window, decoded.inverted)


def _frames(files: Sequence[Path], slices: Sequence[_Slice]) -> Iterator[Frame]:
    """Decode slices one after another, so that no more than one file's stored pixels are held."""
    opened: tuple[int, Any, str] | None = None
    for item in slices:
        path = files[item.file]
        if opened is None or opened[0] != item.file:
            dataset = read_dataset(path)
            opened = item.file, decodable(dataset, path), _modality(dataset)
        yield decode_frame(opened[1], item.frame, opened[2], path)


def _stacked(frames: Sequence[Frame]) -> np.ndarray:
    """[columns, rows, slices] in one block, so that nothing after it has to copy the volume to make it one."""
    rows, columns = frames[0].pixels.shape
    volume = np.empty((columns, rows, len(frames)), np.result_type(*{frame.pixels.dtype for frame in frames}))
    for index, frame in enumerate(frames):
        volume[..., index] = frame.pixels.T
    return volume


def _modality(dataset: Dataset) -> str:
    return str(dataset.get("Modality", ""))


def _shared_window(frames: Sequence[Frame]) -> Window | None:
    """One window for all slices, so that one tissue looks the same in each."""
    windows = [frame.window for frame in frames if frame.window is not None]
    if len(windows) < len(frames):
        return None
    low, high = np.median(np.asarray(windows), axis=0).tolist()
    return low, high
