from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.data import get_testdata_file
from pydicom.pixels import convert_color_space, pixel_array

from medtap.data import image_transforms, read_scan
from medtap.data.dicom_pixels import compact
from medtap.errors import InputError
from tests.data.dicom_files import image_dataset, save, save_image


def shipped(name):
    """A file of pydicom's wheel."""
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not ship {name}")
    return path


@pytest.mark.parametrize(
    "name", ["SC_rgb_rle.dcm", "ExplVR_BigEnd.dcm", "SC_rgb_small_odd_big_endian.dcm", "SC_rgb_jls_lossy_line.dcm"]
)
def test_colours_equal_the_stored_ones(name):
    np.testing.assert_array_equal(read_scan(shipped(name)).pixels, pixel_array(shipped(name), raw=True))


@pytest.mark.parametrize("name", ["SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_ybr_full_422_uncompressed.dcm"])
def test_luminance_and_chrominance_become_red_green_and_blue(name):
    stored = pixel_array(shipped(name), raw=True)
    np.testing.assert_array_equal(read_scan(shipped(name)).pixels, convert_color_space(stored, "YBR_FULL", "RGB"))


def test_planar_configuration_makes_no_difference(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    planar = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    path = save_image(pixels, tmp_path / "a.dcm", PlanarConfiguration=1, PixelData=planar)
    np.testing.assert_array_equal(read_scan(path).pixels, pixels)


def test_a_palette_becomes_colours_of_eight_bits():
    dataset = pydicom.dcmread(shipped("examples_palette.dcm"))
    table = pydicom.pixels.apply_color_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(read_scan(dataset.filename).pixels, table >> 8)


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
                                  "MR_small_jpeg_ls_lossless.dcm", "MR_small_implicit.dcm"])  # fmt: skip
def test_every_lossless_syntax_gives_the_same_slice(name):
    np.testing.assert_array_equal(read_scan(shipped(name)).pixels, read_scan(shipped("MR_small.dcm")).pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_every_depth_and_sign_is_kept(dtype, tmp_path):
    limits = np.iinfo(dtype)
    pixels = np.array([[limits.min, limits.max, 3], [1, 0, limits.max - 1], [5, 6, 7]], dtype)
    np.testing.assert_array_equal(read_scan(save_image(pixels, tmp_path / "a.dcm")).pixels, pixels)


def test_a_lookup_table_for_values_of_interest_is_applied(tmp_path):
    dataset = image_dataset(np.array([[0, 1], [2, 3]], np.uint8), "DX")
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], np.array([0, 65535, 0, 65535], "<u2").tobytes()
    dataset.VOILUTSequence = [table]
    seen = image_transforms()({"image": save(dataset, tmp_path / "a.dcm")})["image"][0]
    np.testing.assert_allclose(seen, [[0, 1], [0, 1]], atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_functions_of_a_window_go_by_its_edges(function, tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = {"WindowCenter": 100, "WindowWidth": 80, "VOILUTFunction": function}
    assert read_scan(save_image(pixels, tmp_path / "a.dcm", "DX", **shown)).window == (60, 140)


def test_the_first_of_several_windows_counts(tmp_path):
    shown = {"WindowCenter": [50.5, 10], "WindowWidth": [101, 5]}
    assert read_scan(save_image(np.eye(4, dtype=np.uint8), tmp_path / "a.dcm", "DX", **shown)).window == (0, 100)


def test_a_huge_header_is_refused_before_anything_is_allocated(tmp_path):
    path = save_image(np.zeros((4, 4), np.uint16), tmp_path / "a.dcm", Rows=65535, Columns=65535)
    with pytest.raises(InputError, match=r"larger than medtap reads.*announces"):
        read_scan(path)


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(InputError, match="impossible dimensions"):
        read_scan(save_image(np.zeros((4, 4), np.uint16), tmp_path / "a.dcm", Rows=0))


def test_no_pixels_are_refused(tmp_path):
    with pytest.raises(InputError, match="no pixels in it"):
        read_scan(save_image(np.zeros((4, 4), np.uint16), tmp_path / "a.dcm", PixelData=None))


def test_a_missing_codec_is_named_with_its_package(monkeypatch):
    path = shipped("MR_small_RLE.dcm")
    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.is_available", False)
    with pytest.raises(
        InputError, match=r"no codec for its compression.*RLE Lossless.*pip install pylibjpeg pylibjpeg-rle"
    ):
        read_scan(path)


def test_an_unknown_compression_is_refused(tmp_path):
    dataset = image_dataset(np.zeros((4, 4), np.uint8))
    path = save(dataset, tmp_path / "a.dcm")
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no codec for its compression.*uncompressed"):
        read_scan(path)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (3, 4), elements=st.floats(-1e9, 1e9)))
def test_smaller_types_keep_the_numbers(values):
    np.testing.assert_allclose(compact(values), values, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "bits", "dtype"),
    [([0, 255], 8, np.uint8), ([0, 255], 16, np.int16), ([-1, 3], 8, np.int16), ([0, 65535], 16, np.int32),
     ([0.5, 1], 16, np.float32), ([0, 2**40], 16, np.float32), ([0, 2**31 + 1], 16, np.float64)],
)  # fmt: skip
def test_the_smallest_type_is_taken(values, bits, dtype):
    assert compact(np.array(values, np.float64), bits).dtype == dtype
