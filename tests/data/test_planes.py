from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medtap.data import AXES, Geometry, planes_of, stored_of
from medtap.data.planes import axis_codes, inverse_orientation, plane_orientation
from medtap.errors import OptionError

SHAPE = (3, 4, 5)


@st.composite
def affines(draw):
    """Any invertible affine: permuted, negated, oblique, with other voxel sizes."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    angles = draw(st.tuples(*[st.sampled_from((0.0, 10.0, 45.0, 77.0)) | st.floats(-180, 180)] * 3))
    sizes = draw(st.tuples(*[st.floats(0.2, 8)] * 3))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(signs)[:, order]
    affine[:3, :3] *= sizes
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    assume(not np.isnan(nib.io_orientation(affine)).any())
    return affine


@given(affines(), st.sampled_from(list(AXES)))
def test_planes_go_back_to_the_stored_grid_exactly(affine, axis):
    voxels, geometry = np.arange(60).reshape(SHAPE), Geometry(affine, SHAPE)
    planes = planes_of(voxels, geometry, axis)
    np.testing.assert_array_equal(stored_of(planes, geometry, axis), voxels)


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from((-1, 1))] * 3), st.sampled_from(list(AXES)))
def test_planes_are_nibabels_reorientation(order, signs, axis):
    affine = np.eye(4)
    affine[:3, :3] = np.diag(signs)[:, order]
    image = nib.Nifti1Image(np.arange(60).reshape(SHAPE).astype(np.int32), affine)
    wanted = nib.orientations.axcodes2ornt(AXES[axis])
    turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), wanted))
    assert "".join(nib.aff2axcodes(turned.affine)) == AXES[axis]
    np.testing.assert_array_equal(planes_of(np.asarray(image.dataobj), Geometry(affine, SHAPE), axis), turned.dataobj)


def test_an_axial_plane_has_the_nose_up_and_the_patients_left_on_the_right():
    voxels = np.zeros(SHAPE, np.uint8)  # RAS: +x right, +y anterior
    voxels[0, 3, 2] = 1  # the patient's left, anterior
    plane = planes_of(voxels, Geometry(np.eye(4), SHAPE))[..., 2]
    assert plane[0, -1] == 1


def test_images_are_their_own_plane():
    pixels = np.arange(6).reshape(2, 3)
    assert planes_of(pixels, Geometry(np.eye(4), (2, 3))) is pixels
    assert stored_of(pixels, Geometry(np.eye(4), (2, 3))) is pixels


@given(affines(), st.sampled_from(list(AXES)))
def test_an_orientation_and_its_inverse_are_the_identity(affine, axis):
    turns = plane_orientation(affine, axis)
    np.testing.assert_array_equal(inverse_orientation(inverse_orientation(turns)), turns)


def test_an_unknown_axis_is_refused_with_the_nearest():
    with pytest.raises(OptionError, match=r"unknown axis.*did you mean axial"):
        axis_codes("axil")
