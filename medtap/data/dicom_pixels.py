"""Pixels of DICOM frames: decoded, rescaled, in RGB where coloured, and larger where brighter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from pydicom import Dataset
from pydicom.pixels import get_decoder, pack_bits, pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from medtap.data.dicom_file import reading
from medtap.errors import InputError

Window = tuple[float, float]

_PIXEL_GROUPS = (0x0028, 0x0048, 0x2050, 0x5200, 0x7FE0)
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_LARGEST_BYTES, _SUSPICIOUS_BYTES, _SUSPICIOUS_RATIO = 2**32, 2**28, 200
_PERCENTILE_MODALITIES = ("MR", "PT", "NM")
_CODECS = {"JPEG 2000": "pylibjpeg-openjpeg", "High-Throughput": "pylibjpeg-openjpeg", "RLE": "pylibjpeg-rle"}


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    Args:
        pixels: [H, W] or [H, W, 3], rescaled; larger is brighter.
        window: (low, high), what the file asks to be shown as black and as white; None where it asks for nothing.
        inverted: whether it was stored as MONOCHROME1.
    """

    pixels: np.ndarray
    window: Window | None
    inverted: bool


def decodable(dataset: Dataset, path: Path) -> highdicom.Image:
    """The part of a dataset that makes up its pixels, as highdicom's image.

    Raises:
        InputError: no pixels, larger than medtap reads, or compressed by a codec that is not installed.
    """
    if not any(keyword in dataset for keyword in _PIXEL_KEYWORDS):
        raise InputError("no pixels in it", file=path, expected="an image")
    _check_size(dataset, path)
    _check_codec(dataset.file_meta.TransferSyntaxUID, path)
    with reading(path):
        kept = Dataset({element.tag: element for element in dataset if element.tag.group in _PIXEL_GROUPS})
        kept.file_meta = dataset.file_meta
        kept.SOPClassUID = dataset.get("SOPClassUID") or SecondaryCaptureImageStorage
        kept.SOPInstanceUID = dataset.get("SOPInstanceUID") or "1.2.3"
        if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
            _turn_bytes(kept, dataset)
        return highdicom.Image.from_dataset(kept, copy=False)


def decode_frame(image: highdicom.Image, number: int, modality: str, path: Path) -> Frame:
    """Decode one frame, counted from 1, by highdicom: modality transform, palette, RGB, MONOCHROME1.

    Raises:
        InputError: damaged pixels, or an interpretation that highdicom does not read.
    """
    with reading(path):
        if "PixelData" not in image:  # highdicom takes the bits of floating point for whole numbers
            return Frame(compact(pixel_array(image, index=number - 1), bits=64), None, inverted=False)
        pixels = image.get_frame(number, apply_voi_transform=False, apply_presentation_lut=False,
                                 apply_icc_profile=False, apply_real_world_transform=False)  # fmt: skip
        if pixels.ndim == 3:
            return Frame(_colours(pixels, image), None, inverted=False)
        groups = _groups(image, number)
        inverted = _is_inverted(image)
        window = None if modality in _PERCENTILE_MODALITIES else _window(groups)
        if window is None and modality not in _PERCENTILE_MODALITIES and image.get("VOILUTSequence"):
            pixels = image.get_frame(number, apply_voi_transform=True, apply_presentation_lut=False)
            return Frame((1 - pixels if inverted else pixels).astype(np.float32), (0.0, 1.0), inverted)
        if inverted:
            pixels, window = _mirrored(pixels, window, _range_sum(image, groups))
        return Frame(compact(pixels, int(image.get("BitsStored", 32))), window, inverted)


def compact(values: np.ndarray, bits: int = 16) -> np.ndarray:
    """The same numbers in the smallest type of uint8 (for images of at most 8 bits), int16, int32, float32, float64."""
    low, high = values.min(), values.max()
    whole = values.dtype.kind != "f" or np.array_equal(values, np.rint(values))
    if whole:
        if bits <= 8 and low >= 0 and high <= 255:
            return values.astype(np.uint8)
        for dtype in (np.int16, np.int32):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return values.astype(dtype)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    close = np.array_equal(single, values) if whole else np.allclose(single, values, rtol=1e-6, atol=0)
    return single if close else values.astype(np.float64)


def _check_size(dataset: Dataset, path: Path) -> None:
    with reading(path):
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
        size = frames * samples * rows * columns * bits // 8
    if min(rows, columns, frames) < 1:
        raise InputError("impossible dimensions in the header", file=path, expected="1 or more along each axis")
    held = path.stat().st_size
    if size > _LARGEST_BYTES or (size > _SUSPICIOUS_BYTES and size > _SUSPICIOUS_RATIO * held):
        raise InputError(
            "larger than medtap reads", file=path, expected=f"at most {_LARGEST_BYTES >> 30} GiB of pixels",
            found=f"a header that announces {size} bytes in a file of {held}", remedy="crop or resample it",
        )  # fmt: skip


def _check_codec(syntax: UID, path: Path) -> None:
    if syntax.is_transfer_syntax and not syntax.is_encapsulated:
        return
    try:
        if get_decoder(syntax).is_available:
            return
        package = next((name for word, name in _CODECS.items() if word in syntax.name), "pylibjpeg-libjpeg")
        remedy = f"pip install pylibjpeg {package}"
    except NotImplementedError:
        remedy = "convert it to an uncompressed transfer syntax"
    raise InputError("no codec for its compression", file=path, found=_syntax_name(syntax), remedy=remedy)


def _syntax_name(syntax: UID) -> str:
    return syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"


def _turn_bytes(kept: Dataset, dataset: Dataset) -> None:
    """Store the pixels of a big-endian dataset in little endian, which is all that highdicom reads."""
    values = pixel_array(dataset, raw=True)
    one_bit = dataset.BitsAllocated == 1
    kept.PixelData = pack_bits(values) if one_bit else values.astype(values.dtype.newbyteorder("<")).tobytes()
    kept.PlanarConfiguration = 0
    kept.file_meta = type(dataset.file_meta)(dataset.file_meta)
    kept.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _colours(pixels: np.ndarray, image: highdicom.Image) -> np.ndarray:
    """RGB of 8 bits, or of the 16 or 32 bits that are stored."""
    if image.PhotometricInterpretation == "PALETTE COLOR":
        deep = int(image.RedPaletteColorLookupTableDescriptor[2]) > 8
        return (pixels.astype(np.uint16) >> 8 if deep else pixels).astype(np.uint8)
    return pixels.astype({8: np.uint8, 16: np.uint16}.get(int(image.BitsAllocated), np.float64))


def _groups(image: highdicom.Image, number: int) -> list[Dataset]:
    """What may hold a frame's transforms: the frame's own groups, the shared ones, the dataset."""
    own = image.get("PerFrameFunctionalGroupsSequence")
    shared = image.get("SharedFunctionalGroupsSequence")
    return [*([own[number - 1]] if own else []), *(shared or []), image]


def _is_inverted(image: highdicom.Image) -> bool:
    shape = image.get("PresentationLUTShape")
    return shape == "INVERSE" if shape else image.PhotometricInterpretation == "MONOCHROME1"


def _window(groups: Sequence[Dataset]) -> Window | None:
    """The first window (PS3.3 C.11.2.1.2), sigmoids by the straight line through their centre."""
    item = _first(groups, "FrameVOILUTSequence", "WindowCenter")
    if item is None or item.get("WindowWidth") is None:
        return None
    centre, width = (float(np.atleast_1d(item[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
    exact = item.get("VOILUTFunction", "LINEAR") != "LINEAR"
    low = centre - width / 2 if exact else centre - 0.5 - (width - 1) / 2
    high = centre + width / 2 if exact else centre - 0.5 + (width - 1) / 2
    return (low, high) if high > low else None


def _first(groups: Sequence[Dataset], sequence: str, keyword: str) -> Dataset | None:
    for group in groups:
        item = group[sequence][0] if group.get(sequence) else group
        if item.get(keyword) not in (None, ""):
            return item
    return None


def _range_sum(image: highdicom.Image, groups: Sequence[Dataset]) -> float:
    """Sum of the rescaled smallest and largest value that the stored bits can hold."""
    if image.get("ModalityLUTSequence"):
        table = np.asarray(highdicom.LUT.from_dataset(image.ModalityLUTSequence[0]).lut_data)
        return float(table.min()) + float(table.max())
    bits = int(image.get("BitsStored", 0))
    total = -1.0 if image.get("PixelRepresentation") == 1 else 2.0**bits - 1
    item: Any = _first(groups, "PixelValueTransformationSequence", "RescaleSlope")
    if item is None:
        return total
    return float(item.RescaleSlope) * total + 2 * float(item.get("RescaleIntercept") or 0)


def _mirrored(pixels: np.ndarray, window: Window | None, total: float) -> tuple[np.ndarray, Window | None]:
    return total - pixels, None if window is None else (total - window[1], total - window[0])
