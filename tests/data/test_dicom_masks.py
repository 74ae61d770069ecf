from __future__ import annotations

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from skimage.draw import polygon2mask

from medtap.data import read_labels, read_scan
from medtap.data.dicom_masks import is_dicom_mask
from medtap.errors import InputError
from medtap.outputs import SegOrigin, write_dicom_seg
from tests.data.dicom_files import LPS, save, save_image, save_series
from tests.data.test_dicom import OBLIQUE, VOXELS

LABELS = np.zeros(VOXELS.shape, np.uint8)
LABELS[1:4, 1:3, :2], LABELS[4:, 2:, 2] = 1, 2


@pytest.fixture
def series(tmp_path):
    """The scan of a series, and a SEG of two segments on it."""
    save_series(VOXELS, tmp_path / "images", OBLIQUE)
    scan = read_scan(tmp_path / "images")
    write_dicom_seg(LABELS, tmp_path / "mask.dcm", scan.files, SegOrigin(("organ", "tumour")))
    return scan, tmp_path / "mask.dcm"


def made(scan, path, array, kind="BINARY", names=("organ", "tumour"), reverse=False):
    """A SEG by highdicom of frames [planes, rows, columns(, segments)], the sources in reverse order if wanted."""
    sources = [pydicom.dcmread(file) for file in scan.files]
    if reverse:
        sources, array = sources[::-1], array[::-1]
    code = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
    described = [
        highdicom.seg.SegmentDescription(number, name, code, code, "MANUAL")
        for number, name in enumerate(names, start=1)
    ]
    highdicom.seg.Segmentation(
        sources, np.ascontiguousarray(array), kind, described, "1.2.3.5", 2, "1.2.3.6", 1, "maker", "model", "1", "0",
    ).save_as(path)  # fmt: skip
    return path


def stacked(labels):
    """Labels as stored -> [planes, rows, columns]."""
    return labels.transpose(2, 1, 0)


def test_a_seg_comes_back_onto_its_series(series):
    scan, mask = series
    np.testing.assert_array_equal(read_labels(mask, scan), LABELS)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_order_of_frames_does_not_matter(kind, series, tmp_path):
    scan, _ = series
    path = made(scan, tmp_path / "r.dcm", stacked(LABELS), kind, reverse=True)
    np.testing.assert_array_equal(read_labels(path, scan), LABELS)


@pytest.mark.parametrize(("threshold", "least"), [(None, 0.5), (0.2, 0.2), (200, 200 / 255)])
def test_fractions_above_the_threshold_are_foreground(threshold, least, series, tmp_path):
    scan, _ = series
    fractions = np.random.default_rng(0).random(stacked(LABELS).shape)
    path = made(scan, tmp_path / "f.dcm", fractions, "FRACTIONAL", names=("organ",))
    expected = np.rint(fractions * 255) > least * 255
    np.testing.assert_array_equal(stacked(read_labels(path, scan, threshold=threshold)), expected)


def test_the_segment_of_higher_number_counts_where_they_overlap(series, tmp_path):
    scan, _ = series
    both = np.stack([stacked(LABELS) >= 1, stacked(LABELS) == 2], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(read_labels(made(scan, tmp_path / "o.dcm", both), scan), LABELS)


def test_a_segment_that_others_cover_is_refused(series, tmp_path):
    scan, _ = series
    both = np.stack([stacked(LABELS) == 2, stacked(LABELS) >= 1], axis=-1).astype(np.uint8)
    path = made(scan, tmp_path / "o.dcm", both)
    with pytest.raises(InputError, match=r"a segment that others cover.*label 1.*--classes"):
        read_labels(path, scan)


def test_segments_are_chosen_by_name(series):
    scan, mask = series
    np.testing.assert_array_equal(read_labels(mask, scan, classes=["Tumour"]), LABELS == 2)
    np.testing.assert_array_equal(read_labels(mask, scan, classes=["tumour", " ORGAN "]), (3 - LABELS) * (LABELS > 0))


def test_other_names_stand_for_the_segments_in_their_order(series):
    scan, mask = series
    np.testing.assert_array_equal(read_labels(mask, scan, classes=["a", "b"]), LABELS)


def test_other_names_of_another_number_are_refused(series):
    scan, mask = series
    with pytest.raises(InputError, match=r"segments that are not the classes.*3 segments.*organ, tumour.*--classes"):
        read_labels(mask, scan, classes=["a", "b", "c"])


def test_a_mask_of_another_place_is_refused(series, tmp_path):
    _, mask = series
    moved = OBLIQUE.copy()
    moved[:3, 3] += [0, 0, 500]
    save_series(VOXELS, tmp_path / "far", moved)
    with pytest.raises(InputError, match="mask and image of different place"):
        read_labels(mask, read_scan(tmp_path / "far"))


def test_a_mask_across_the_slices_is_refused(series, tmp_path):
    _, mask = series
    turned = np.eye(4)
    turned[1:3, 1:3] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    turned = turned @ OBLIQUE
    save_series(VOXELS, tmp_path / "across", turned)
    with pytest.raises(InputError, match="mask and image of different orientation"):
        read_labels(mask, read_scan(tmp_path / "across"))


def test_a_mask_of_finer_pixels_lands_on_the_nearest(series, tmp_path):
    scan, _ = series
    fine = OBLIQUE.copy()
    fine[:3, :2] /= 2
    fine[:3, 3] -= (OBLIQUE[:3, 0] + OBLIQUE[:3, 1]) / 4
    save_series(VOXELS.repeat(2, 0).repeat(2, 1), tmp_path / "fine", fine)
    labels = LABELS.repeat(2, 0).repeat(2, 1)
    write_dicom_seg(labels, tmp_path / "fine.dcm", read_scan(tmp_path / "fine").files, SegOrigin(("organ", "tumour")))
    np.testing.assert_array_equal(read_labels(tmp_path / "fine.dcm", scan), LABELS)


def test_a_mask_of_one_slice_leaves_the_others_empty(series, tmp_path):
    scan, mask = series
    one = read_scan(scan.files[1])
    np.testing.assert_array_equal(read_labels(mask, one)[..., 0], LABELS[..., 1])
    write_dicom_seg(LABELS[..., 1:2], tmp_path / "one.dcm", one.files, SegOrigin(("organ", "tumour")))
    np.testing.assert_array_equal(np.unique(np.nonzero(read_labels(tmp_path / "one.dcm", scan))[2]), [1])


def test_a_radiograph_takes_the_seg_that_refers_to_it(tmp_path):
    first, second = (
        read_scan(save_image(np.zeros((8, 9), np.uint8), tmp_path / name, "DX")) for name in ("a.dcm", "b.dcm")
    )
    labels = np.zeros((8, 9), np.uint8)
    labels[2:5, 3:7] = 1
    write_dicom_seg(labels, tmp_path / "mask.dcm", first.files, SegOrigin(("lung",)))
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.dcm", first), labels)
    with pytest.raises(InputError, match="mask and image of different place"):
        read_labels(tmp_path / "mask.dcm", second)


def structures(path, contours, names=("organ",)):
    """An RTSTRUCT of contours [P, 3] in RAS mm by the number of their region."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.3.7"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, name in enumerate(names, start=1):
        region, drawn = Dataset(), Dataset()
        region.ROINumber, region.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = (
            number,
            [_contour(points) for points in contours.get(number, [])],
        )
        dataset.StructureSetROISequence.append(region)
        dataset.ROIContourSequence.append(drawn)
    return save(dataset, path)


def _contour(points):
    item = Dataset()
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    item.ContourData = [float(f"{value:.6f}") for value in (points @ LPS).ravel()]
    return item


def on_plane(corners, plane):
    """Corners (x, y) in voxels of a plane -> [P, 3] RAS mm."""
    return np.array([(OBLIQUE @ [x, y, plane, 1])[:3] for x, y in corners])


def test_contours_fill_what_they_enclose_in_their_own_slice(series, tmp_path):
    scan, _ = series
    corners = [(0.6, 0.6), (4.4, 0.6), (4.4, 3.4), (0.6, 3.4)]
    path = structures(tmp_path / "rt.dcm", {1: [on_plane(corners, 2)]})
    expected = np.zeros(VOXELS.shape, np.uint8)
    expected[..., 2] = polygon2mask(VOXELS.shape[:2], corners)
    np.testing.assert_array_equal(read_labels(path, scan), expected)


def test_inner_contours_cut_holes(series, tmp_path):
    scan, _ = series
    outer, inner = (
        [(-0.5, -0.5), (5.5, -0.5), (5.5, 4.5), (-0.5, 4.5)],
        [(1.5, 1.5), (3.5, 1.5), (3.5, 3.5), (1.5, 3.5)],
    )
    path = structures(tmp_path / "rt.dcm", {1: [on_plane(outer, 1), on_plane(inner, 1)]})
    assert read_labels(path, scan)[..., 1].sum() == 30 - 4


def test_regions_without_contours_are_no_classes(series, tmp_path):
    scan, _ = series
    box = on_plane([(0.6, 0.6), (4.4, 0.6), (4.4, 3.4), (0.6, 3.4)], 0)
    path = structures(tmp_path / "rt.dcm", {2: [box]}, names=("empty", "organ"))
    assert read_labels(path, scan).max() == 1


def test_contours_of_another_place_are_refused(series, tmp_path):
    scan, _ = series
    path = structures(tmp_path / "rt.dcm", {1: [on_plane([(0, 0), (3, 0), (3, 3)], 50)]})
    with pytest.raises(InputError, match="mask and image of different place"):
        read_labels(path, scan)


def test_an_image_is_no_mask(series):
    scan, mask = series
    assert is_dicom_mask(mask)
    assert not is_dicom_mask(scan.files[0])


def test_the_real_liver_equals_highdicoms_reading(data_root):
    folder = data_root / "dicom" / "ct_liver_seg"
    scan = read_scan(folder / "images")
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in scan.files]
    seg = highdicom.seg.segread(folder / "masks" / "liver.dcm")
    expected = seg.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True)
    np.testing.assert_array_equal(stacked(read_labels(folder / "masks" / "liver.dcm", scan)), expected)


def test_the_real_structures_cross_their_slice_as_body_alone(data_root):
    folder = data_root / "dicom" / "ct_rtstruct"
    labels = read_labels(folder / "masks" / "rtss.dcm", read_scan(folder / "images"), classes=["BODY"])
    assert 0.1 < labels.mean() < 0.2
