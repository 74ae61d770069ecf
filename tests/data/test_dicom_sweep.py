"""Every DICOM file at hand is read as highdicom or GDCM reads it, or refused with a typed error, and quickly."""

from __future__ import annotations

import time
from pathlib import Path

import gdcm
import highdicom
import numpy as np
import pydicom
import pytest

from medtap.data import read_scan
from medtap.data.dicom_file import silence
from medtap.errors import InputError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
SECONDS = 10
FAST = [
    "CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "examples_palette.dcm", "SC_rgb_jpeg_dcmtk.dcm",
    "MR_truncated.dcm", "badVR.dcm", "nested_priv_SQ.dcm", "rtplan.dcm", "no_meta.dcm", "JPEG-lossy.dcm",
]  # fmt: skip


def by_highdicom(path):
    """Pixels [H, W(, 3)] of the only frame, as highdicom reads them, or None."""
    with silence():
        try:
            image = highdicom.imread(path)
            frame = image.get_frame(1, apply_voi_transform=False, apply_presentation_lut=False, apply_icc_profile=False)
        except Exception:
            return None
    deep_palette = image.PhotometricInterpretation == "PALETTE COLOR" and frame.max() > 255
    return np.floor(frame / 256) if deep_palette else frame


def by_gdcm(path):
    """Stored values [H, W] of a grey image as GDCM decodes them, or None."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        return None
    image = reader.GetImage()
    if image.GetPixelFormat().GetSamplesPerPixel() != 1 or image.GetNumberOfDimensions() != 2:
        return None
    types = {"UINT8": "u1", "INT8": "i1", "UINT16": "<u2", "INT16": "<i2", "UINT32": "<u4", "INT32": "<i4"}
    kind = types.get(image.GetPixelFormat().GetScalarTypeAsString())
    if kind is None:
        return None
    raw = image.GetBuffer().encode("utf-8", errors="surrogateescape")
    stored = np.frombuffer(raw, kind).reshape(image.GetDimension(1), image.GetDimension(0))
    return stored * image.GetSlope() + image.GetIntercept()


def frame_of(scan):
    """The one plane as [H, W(, 3)], as it was before MONOCHROME1 was turned."""
    plane = scan.pixels[..., 0].T if scan.is_volume else scan.pixels
    return plane.max() - plane.astype(np.float64) if scan.inverted else plane


def check(path):
    start = time.perf_counter()
    try:
        scan = read_scan(path)
    except InputError as refusal:
        scan, file = None, refusal.file
    assert time.perf_counter() - start < SECONDS
    if scan is None:
        assert file == path
        return "refused"
    expected = by_highdicom(path)
    expected = by_gdcm(path) if expected is None else expected
    if expected is None:
        return "read"
    if scan.inverted:
        expected = expected - expected.min()
    np.testing.assert_allclose(frame_of(scan), expected, rtol=1e-5, atol=1e-3)
    return "equal"


@pytest.mark.parametrize("name", FAST)
def test_a_shipped_file_is_read_right_or_refused(name):
    if not (SHIPPED / name).is_file():
        pytest.skip(f"pydicom does not ship {name}")
    assert check(SHIPPED / name) in ("equal", "refused")


@pytest.mark.slow
def test_every_shipped_file_is_read_right_or_refused():
    outcomes = [check(path) for path in sorted(SHIPPED.rglob("*")) if path.is_file()]
    assert outcomes.count("equal") > 60
    assert outcomes.count("read") < 8


def test_every_file_of_the_data_is_read_right_or_refused(data_root):
    paths = [path for path in sorted((data_root / "dicom").rglob("*.dcm")) if path.parent.parent.name != "mr_series"]
    outcomes = {path.name: check(path) for path in paths}
    assert {name for name, outcome in outcomes.items() if outcome == "equal"} == {
        "01.dcm", "02.dcm", "03.dcm", "ct.0.dcm", "ct_image.dcm", "dx_image.dcm",
    }  # fmt: skip


def test_grey_images_equal_gdcms(data_root):
    paths = sorted((data_root / "dicom" / "mr_series").rglob("*.dcm"))
    for path in paths[::8]:
        np.testing.assert_array_equal(frame_of(read_scan(path)), by_gdcm(path))
