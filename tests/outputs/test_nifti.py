"""NIfTI masks lie where their source lies, by either of NIfTI's two forms."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medtap.errors import InputError, OutputError
from medtap.outputs import write_nifti_mask

SHAPE = (4, 5, 6)
OBLIQUE = np.array([[0.0, -2.0, 0.1, 7.0], [-1.4, 0.0, 0.3, -8.0], [0.2, 0.1, 3.0, 9.0], [0, 0, 0, 1]])


def make_source(path, image=nib.Nifti1Image, shape=SHAPE):
    volume = image(np.zeros(shape, np.float32), OBLIQUE)
    volume.header["descrip"] = b"DOE^JANE"
    volume.header["aux_file"] = b"secret"
    volume.header["intent_name"] = b"secret"
    volume.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE"))
    nib.save(volume, path)
    return volume


def labels():
    return np.random.default_rng(0).integers(0, 3, SHAPE)


@pytest.mark.parametrize("image", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_same_place_and_kind_as_the_source(tmp_path, image, suffix):
    make_source(tmp_path / "source.nii", image)
    write_nifti_mask(labels(), tmp_path / f"mask{suffix}", tmp_path / "source.nii")
    source, mask = nib.load(tmp_path / "source.nii"), nib.load(tmp_path / f"mask{suffix}")
    assert isinstance(mask, image)
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(mask.dataobj), labels())
    assert np.array_equal(mask.affine, source.affine)
    assert mask.header.get_zooms() == source.header.get_zooms()


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 2), (1, 4)])
def test_forms_and_codes_even_where_they_disagree(tmp_path, codes):
    volume = make_source(tmp_path / "source.nii")
    volume.set_qform(np.diag([-2.0, 1.5, 3.0, 1.0]), code=codes[0])
    volume.set_sform(OBLIQUE, code=codes[1])
    volume.header.set_xyzt_units("mm", "sec")
    nib.save(volume, tmp_path / "source.nii")
    write_nifti_mask(labels(), tmp_path / "mask.nii", tmp_path / "source.nii")
    source, mask = (nib.load(tmp_path / name) for name in ("source.nii", "mask.nii"))
    for field in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_y", "xyzt_units"):
        assert np.array_equal(mask.header[field], source.header[field])
    assert np.array_equal(mask.header["pixdim"][:4], source.header["pixdim"][:4])
    assert np.array_equal(mask.affine, source.affine)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nothing_of_the_header_texts_is_copied(tmp_path, suffix):
    make_source(tmp_path / "source.nii")
    write_nifti_mask(labels(), tmp_path / f"mask{suffix}", tmp_path / "source.nii")
    mask = nib.load(tmp_path / f"mask{suffix}")
    raw = mask.header.binaryblock
    assert b"DOE" not in raw
    assert b"secret" not in raw
    assert len(mask.header.extensions) == 0


def test_compressed_twice_gives_the_same_bytes(tmp_path):
    make_source(tmp_path / "source.nii")
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti_mask(labels(), tmp_path / name, tmp_path / "source.nii")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_source_with_one_time_point(tmp_path):
    make_source(tmp_path / "source.nii", shape=(*SHAPE, 1))
    write_nifti_mask(labels(), tmp_path / "mask.nii", tmp_path / "source.nii")
    assert nib.load(tmp_path / "mask.nii").shape == SHAPE


def test_refusals(tmp_path):
    make_source(tmp_path / "source.nii")
    with pytest.raises(OutputError, match=r"not on its source's grid; expected \(4, 5, 6\); found \(4, 6, 5\)"):
        write_nifti_mask(labels().transpose(0, 2, 1), tmp_path / "mask.nii", tmp_path / "source.nii")
    with pytest.raises(OutputError, match=r"not a NIfTI file's; expected \.nii or \.nii\.gz; found \.png"):
        write_nifti_mask(labels(), tmp_path / "mask.png", tmp_path / "source.nii")
    with pytest.raises(OutputError, match="expected 3 axes"):
        write_nifti_mask(labels()[0], tmp_path / "mask.nii", tmp_path / "source.nii")
    with pytest.raises(InputError, match=r"missing\.nii: the source cannot be read; expected a NIfTI file"):
        write_nifti_mask(labels(), tmp_path / "mask.nii", tmp_path / "missing.nii")
    (tmp_path / "broken.nii").write_bytes(b"no header")
    with pytest.raises(InputError, match=r"broken\.nii: the source cannot be read"):
        write_nifti_mask(labels(), tmp_path / "mask.nii", tmp_path / "broken.nii")
    nib.save(nib.MGHImage(np.zeros(SHAPE, np.float32), np.eye(4)), tmp_path / "other.mgz")
    with pytest.raises(InputError, match=r"other\.mgz: the source is not NIfTI"):
        write_nifti_mask(labels(), tmp_path / "mask.nii", tmp_path / "other.mgz")
    assert not (tmp_path / "mask.nii").exists()
