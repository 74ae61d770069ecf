from __future__ import annotations

import gzip
import struct
import tracemalloc
from contextlib import suppress

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtap.data import NiftiReader, read_nifti
from medtap.errors import InputError

OBLIQUE = np.array([[0.0, -1.9, 0.3, 10], [1.0, 0.0, 0.0, -5], [0.0, 0.3, 1.9, 7], [0, 0, 0, 1]])


def save(voxels, path, affine=OBLIQUE, change=None):
    image = nib.Nifti1Image(voxels, affine)
    if change is not None:
        change(image.header)
    nib.save(image, path)
    return path


def patched(path, offset, content):
    """Write bytes over a plain file's header."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_type_and_geometry_come_back(dtype, suffix, tmp_path):
    voxels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    scan = read_nifti(save(voxels, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(scan.pixels, voxels)
    assert scan.pixels.dtype == dtype
    np.testing.assert_allclose(scan.geometry.affine, OBLIQUE, atol=1e-6)
    assert scan.geometry.spacing_mm == pytest.approx((1.0, np.hypot(1.9, 0.3), np.hypot(1.9, 0.3)))
    assert scan.is_volume


def test_the_slope_and_intercept_of_the_header_are_applied(tmp_path):
    stored = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    path = save(stored, tmp_path / "a.nii", OBLIQUE, lambda header: header.set_slope_inter(2, -1000))
    np.testing.assert_array_equal(read_nifti(path).pixels, stored * 2.0 - 1000)


def test_large_integers_are_not_rounded_together(tmp_path):
    voxels = np.array([[[2**31 - 1, 2**31 - 2]]], np.int32)
    array, _ = NiftiReader().get_data(save(voxels, tmp_path / "a.nii"))
    np.testing.assert_array_equal(array, voxels.astype(np.float64))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 1, 1)])
def test_one_plane_is_a_volume_of_one_plane(shape, tmp_path):
    assert read_nifti(save(np.ones(shape, np.float32), tmp_path / "a.nii")).pixels.shape == (4, 5, 1)


def test_units_of_the_header_become_millimetres(tmp_path):
    path = save(np.ones((2, 2, 2), np.float32), tmp_path / "a.nii", np.eye(4), lambda h: h.set_xyzt_units("meter"))
    assert read_nifti(path).geometry.spacing_mm == (1000.0, 1000.0, 1000.0)


def test_four_axes_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"more than three axes.*\(2, 2, 2, 5\)"):
        read_nifti(save(np.ones((2, 2, 2, 5), np.float32), tmp_path / "a.nii.gz"))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_are_refused(bad, tmp_path):
    voxels = np.ones((2, 2, 2), np.float32)
    voxels[1, 1, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        read_nifti(save(voxels, tmp_path / "a.nii"))


def test_rgb24_is_refused(tmp_path):
    colours = np.zeros((4, 4, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(InputError, match=r"colour or complex voxels.*data type 128"):
        read_nifti(save(colours, tmp_path / "a.nii"))


def test_colour_channels_as_planes_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="looks like a colour image"):
        read_nifti(save(pixels, tmp_path / "a.nii", np.eye(4)))


def test_three_planes_of_labels_are_no_colour_image(tmp_path):
    assert read_nifti(save(np.ones((16, 16, 3), np.uint8), tmp_path / "a.nii", np.eye(4))).is_volume


def test_a_zero_affine_is_refused(tmp_path):
    path = save(np.ones((2, 2, 2), np.float32), tmp_path / "a.nii")
    with pytest.raises(InputError, match="unusable affine"):
        read_nifti(patched(path, 280, bytes(48)))


def test_a_quaternion_that_is_no_rotation_is_refused(tmp_path):
    path = save(np.ones((2, 2, 2), np.float32), tmp_path / "a.nii", None, lambda h: h.set_qform(np.eye(4), 1))
    with pytest.raises(InputError, match=r"unusable affine.*a rotation"):
        read_nifti(patched(path, 256, struct.pack("<3f", 3, 3, 3)))


def test_conflicting_affines_are_refused(tmp_path):
    def shift(header):
        header.set_sform(np.eye(4), 1)
        header.set_qform(np.diag([1, 1, 5, 1]), 1)

    with pytest.raises(InputError, match=r"conflicting affines.*half a voxel"):
        read_nifti(save(np.ones((4, 4, 4), np.float32), tmp_path / "a.nii", None, shift))


def test_impossible_dimensions_are_refused(tmp_path):
    path = save(np.ones((2, 2, 2), np.float32), tmp_path / "a.nii")
    with pytest.raises(InputError, match="impossible dimensions"):
        read_nifti(patched(path, 40, struct.pack("<4h", 3, 2, -7, 2)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_huge_dimensions_are_refused_before_allocating(name, tmp_path):
    plain = patched(save(np.ones((2, 2, 2)), tmp_path / "b.nii"), 40, struct.pack("<4h", 3, 32767, 32767, 32767))
    content = plain.read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    tracemalloc.start()
    with pytest.raises(InputError, match="larger than medtap reads"):
        read_nifti(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_gzip_bomb_is_refused_before_it_is_expanded(tmp_path):
    plain = patched(save(np.ones((2, 2, 2), np.uint8), tmp_path / "b.nii"), 40, struct.pack("<4h", 3, 1024, 1024, 400))
    with gzip.open(tmp_path / "a.nii.gz", "wb", compresslevel=9) as file:
        file.write(plain.read_bytes()[:352])
        for _ in range(40):
            file.write(bytes(10 * 2**20))
    with pytest.raises(InputError, match=r"too small for the volume.*decompress it"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_plain_file_shorter_than_its_header_says_is_refused(tmp_path):
    path = save(np.ones((9, 9, 9), np.float32), tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"truncated.*3268 bytes.*3168"):
        read_nifti(path)


@pytest.mark.parametrize("keep", [5, 100, 0.9])
def test_a_truncated_compressed_file_is_refused(keep, tmp_path):
    path = save(np.random.default_rng(0).normal(size=(9, 9, 9)), tmp_path / "a.nii.gz")
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match="not a readable NIfTI file"):
        read_nifti(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_another_kind_of_file_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"no volume at all" * 50)
    with pytest.raises(InputError, match="not a readable NIfTI file"):
        read_nifti(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, 351), content=st.binary(min_size=1, max_size=4))
def test_a_damaged_header_gives_voxels_or_a_typed_error(tmp_path_factory, offset, content):
    path = save(np.ones((3, 4, 5), np.float32), tmp_path_factory.mktemp("fuzz") / "a.nii")
    with suppress(InputError):
        assert read_nifti(patched(path, offset, content[: 352 - offset])).is_volume


def test_every_real_volume_equals_nibabels(data_root):
    paths = sorted((data_root / "msd_hippocampus").rglob("*.nii.gz"))
    assert paths
    for path in paths:
        image, scan = nib.load(path), read_nifti(path)
        np.testing.assert_array_equal(scan.pixels, image.get_fdata())
        np.testing.assert_array_equal(scan.geometry.affine, image.affine)


def test_the_reader_knows_its_suffixes():
    assert NiftiReader().verify_suffix("a.nii.gz")
    assert not NiftiReader().verify_suffix("a.png")
