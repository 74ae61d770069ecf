from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from medtap.data import read_image
from medtap.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_depth_comes_back_with_its_extremes(dtype, order, tmp_path):
    limits = np.iinfo(dtype) if dtype[0] in "ui" else np.finfo("f2")
    pixels = np.array([[limits.min, limits.max, 1]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=order, photometric="minisblack")
    read = read_image(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == np.dtype(dtype)


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_is_read_in_full_depth_from_either_planar_configuration(layout, dtype, tmp_path):
    pixels = RGB.astype(dtype) * np.iinfo(dtype).max // 255
    stored = pixels if layout == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=layout)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressions_give_the_same_pixels(compression, tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, RGB)


def test_white_is_zero_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, 255 - RGB[..., 0])


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "1"])
def test_other_modes_show_what_pillow_shows(mode, tmp_path):
    picture = Image.fromarray(RGB).convert(mode)
    picture.save(tmp_path / "a.tif")
    expected = np.asarray(picture.convert("L" if mode == "1" else "RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)


def test_orientation_is_applied(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, np.rot90(RGB, -1))


def test_several_pages_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"several pages.*found 3 pages"):
        read_image(tmp_path / "a.tif")


def test_five_channels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=r"TIFF channels that medtap does not read.*5 channels"):
        read_image(tmp_path / "a.tif")


def test_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[1, np.nan]], np.float32))
    with pytest.raises(InputError, match="NaN or infinite"):
        read_image(tmp_path / "a.tif")


def test_a_file_that_ends_before_its_pixels_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((64, 64), np.uint8))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-1000])
    with pytest.raises(InputError, match="truncated"):
        read_image(tmp_path / "a.tif")


def test_huge_dimensions_are_refused_before_allocating(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(60_000)
    with pytest.raises(InputError, match=r"larger than medtap reads.*60000 x 60000"):
        read_image(tmp_path / "a.tif")


def test_damage_is_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\x00" + b"\xff" * 40)
    with pytest.raises(InputError, match=r"not a readable TIFF|several pages"):
        read_image(tmp_path / "a.tif")


def test_a_codec_that_is_not_installed_is_left_to_pillow(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.tif", compression="tiff_lzw")

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, RGB)
