from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from medtap.data import ImageFileReader, read_image
from medtap.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(pixels, path, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_grey_png_of_8_and_16_bits_comes_back_row_first(tmp_path_factory, pixels):
    path = save(pixels, tmp_path_factory.mktemp("png") / "a.png")
    scan = read_image(path)
    np.testing.assert_array_equal(scan.pixels, pixels)
    assert scan.pixels.dtype == pixels.dtype
    assert scan.geometry.shape == pixels.shape
    assert scan.geometry.spacing_mm is None


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_alpha_and_palettes_become_rgb(mode, tmp_path):
    flat = np.repeat(np.repeat(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8), 3, 0), 2, 1)
    np.testing.assert_array_equal(read_image(save(flat, tmp_path / "a.png", mode)).pixels, flat)


def test_grey_with_alpha_and_one_bit_become_grey(tmp_path):
    grey = np.array([[0, 255], [255, 0], [0, 0]], np.uint8)
    for mode in ("LA", "1"):
        np.testing.assert_array_equal(read_image(save(grey, tmp_path / "a.png", mode)).pixels, grey)


def test_cmyk_jpeg_becomes_the_rgb_it_shows(tmp_path):
    red = np.full((16, 16, 3), (200, 30, 40), np.uint8)
    shown = read_image(save(red, tmp_path / "a.jpg", "CMYK", quality=100)).pixels
    assert shown.shape == (16, 16, 3)
    assert np.abs(shown.astype(int) - red).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, RGB), (2, RGB[:, ::-1]), (3, RGB[::-1, ::-1]), (4, RGB[::-1]), (5, RGB.swapaxes(0, 1)),
        (6, np.rot90(RGB, -1)), (7, RGB[::-1, ::-1].swapaxes(0, 1)), (8, np.rot90(RGB)),
    ],
)  # fmt: skip
def test_exif_rotation_is_applied(orientation, turned, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    np.testing.assert_array_equal(read_image(save(RGB, tmp_path / "a.png", exif=exif)).pixels, turned)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 20_000)])
def test_one_pixel_wide_and_very_wide_images_are_read(shape, tmp_path):
    assert read_image(save(np.ones(shape, np.uint8), tmp_path / "a.png")).pixels.shape == shape


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_truncated_files_are_refused(suffix, tmp_path):
    big = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(big, tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"not a readable image.*truncated"):
        read_image(path)


def test_text_under_an_image_name_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(InputError, match="not a readable image"):
        read_image(tmp_path / "a.png")


def test_16_bit_colour_png_is_refused_not_cut_to_8_bits(tmp_path):
    rows = b"".join(b"\0" + bytes(12) for _ in range(2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    coded = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    with pytest.raises(InputError, match=r"16 bits a channel.*8-bit PNG"):
        read_image(tmp_path / "a.png")


def test_a_header_of_huge_dimensions_is_refused_before_decoding(tmp_path):
    body = b"IHDR" + struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    idat = b"IDAT" + zlib.compress(b"\0")
    data = struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
    with pytest.raises(InputError, match="larger than medtap reads"):
        read_image(tmp_path / "a.png")


def test_animations_are_refused(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (0, 90, 200)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"several frames.*found 3 frames"):
        read_image(tmp_path / "a.png")


def test_the_reader_knows_its_suffixes():
    assert ImageFileReader().verify_suffix("a.JPG")
    assert not ImageFileReader().verify_suffix("a.nii.gz")


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_damaged_byte_gives_pixels_or_a_typed_error(tmp_path_factory, position, byte):
    path = save(RGB, tmp_path_factory.mktemp("fuzz") / "a.png")
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content)
    with suppress(InputError):
        assert read_image(path).pixels.ndim in (2, 3)


@pytest.mark.parametrize("folder", ["isic2017", "isic2017_native", "chest_xray", "natural"])
def test_every_real_image_equals_pillows(folder, data_root):
    paths = sorted(path for path in (data_root / folder).rglob("*") if path.suffix in (".png", ".jpg"))[::9]
    assert paths
    for path in paths:
        with Image.open(path) as picture:
            np.testing.assert_array_equal(read_image(path).pixels, np.asarray(picture))
