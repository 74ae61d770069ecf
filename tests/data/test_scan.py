from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImage

from medtap.data import Geometry, Scan, ScanReader, read_scan, scan_of, scan_tensor
from medtap.data.scan import check_file, check_finite, paths_of, single_path
from medtap.errors import InputError


def test_axcodes_name_the_directions_of_the_stored_axes():
    assert Geometry(np.diag([-1.0, 2.0, -3.0, 1.0]), (2, 3, 4)).axcodes == "LAI"


def test_distance_is_that_of_the_farthest_corner_in_voxels():
    one, other = np.diag([2.0, 4.0, 4.0, 1.0]), np.diag([2.0, 4.0, 5.0, 1.0])
    assert Geometry(one, (3, 3, 6)).distance_to(Geometry(other, (3, 3, 6))) == pytest.approx(5 * 1 / 2)


@pytest.mark.parametrize("kind", ["colour", "volume"])
def test_a_scan_becomes_the_tensor_that_monai_loads(kind, lesions, volumes):
    path = lesions[0] / "case0.png" if kind == "colour" else volumes[0] / "scan0.nii.gz"
    loaded, made = (
        LoadImage(reader=ScanReader(), ensure_channel_first=True, dtype=None)(path),
        scan_tensor(read_scan(path)),
    )
    np.testing.assert_array_equal(made, loaded)
    np.testing.assert_array_equal(made.affine, loaded.affine)
    assert made.dtype == loaded.dtype
    assert made.meta["eight_bit"] == loaded.meta["eight_bit"] == (kind == "colour")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        check_file(tmp_path / "gone.png")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="the file is empty"):
        check_file(tmp_path / "a.png")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="may not be read"):
        check_file(tmp_path / "a.png")


def test_several_files_for_one_image_are_refused():
    with pytest.raises(InputError, match=r"several files for one image.*found 2 files"):
        single_path(["a.png", "b.png"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_float32_cannot_hold_is_refused(bad, tmp_path):
    with pytest.raises(InputError, match=r"NaN or infinite.*found 1 that are not"):
        check_finite(np.array([0.0, bad]), tmp_path)


def test_a_window_and_the_files_of_a_series_come_back_from_the_meta_data():
    files = (Path("a"), Path("b"))
    scan = Scan(
        np.zeros((2, 3, 4)), Geometry(np.eye(4), (2, 3, 4), (1.0, 1.0, 1.0)), files[0], files, (-5.0, 5.0), True
    )
    back = scan_of(scan_tensor(scan))
    assert (back.files, back.window, back.inverted) == (files, (-5.0, 5.0), True)


def test_paths_are_one_or_those_of_a_series():
    assert paths_of("a") == (Path("a"),)
    assert paths_of(["a", "b"]) == (Path("a"), Path("b"))
    with pytest.raises(InputError, match="no file for an image"):
        paths_of([])
