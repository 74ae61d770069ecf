"""The pictures of a data set, read as `medtap adapt` reads them and scored on the grids that the protocol says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from medtap.benchmarks.gallery import Gallery, Reading
from medtap.data import image_transforms, planes_of, read_scan, resize_masks
from medtap.datasets import find_cases
from medtap.episodes import draw_support
from medtap.errors import InputError, OptionError
from tests.benchmarks.skin import write_skin


@pytest.fixture
def skin(tmp_path):
    return write_skin(tmp_path / "skin", each=2)


@pytest.fixture
def task(volumes, tmp_path):
    """The ``volumes`` as a decathlon task."""
    root = tmp_path / "task"
    root.mkdir()
    for folder, name in zip(volumes, ("imagesTr", "labelsTr"), strict=True):
        folder.rename(root / name)
    (root / "dataset.json").write_text('{"labels": {"0": "background", "1": "left", "2": "right"}}')
    return root


def test_classes_are_diagnoses_by_name(skin):
    gallery = Gallery(Reading(skin, "isic2017", by_group=True))
    assert {picture.group for picture in gallery.pictures} == {"melanoma", "nevus", "seborrheic_keratosis"}
    assert gallery.classes_of("nevus") == ("nevus",)
    assert all((skin / picture.file).is_file() for picture in gallery.pictures)


def test_squares_are_the_nearest_pixels_of_the_mask_as_stored(skin):
    gallery = Gallery(Reading(skin, "isic2017", by_group=True, score_size=100))
    picture = gallery.pictures[0]
    sample = gallery.sample(picture)
    stored = np.asarray(Image.open(sorted(skin.glob("*Part1*/*.png"))[0]))
    expected = resize_masks(torch.from_numpy(stored > 0)[None].byte(), 100)[0]
    assert torch.equal(sample.square, expected)
    assert sample.labels.shape == sample.image.shape[1:] == (32, 32)
    torch.testing.assert_close(sample.image, image_transforms()({"image": skin / picture.file})["image"].as_tensor())


def test_support_sets_are_those_of_adapt(skin):
    gallery = Gallery(Reading(skin, "isic2017", by_group=True))
    drawn = draw_support(find_cases(skin, layout="isic2017"), shots=3, seed=0, size=16)
    by_stem = {picture.file.removesuffix(".jpg").split("/")[-1]: picture for picture in gallery.pictures}
    ours = gallery.support_set([by_stem[source.name] for source in drawn.sources], 16)
    assert torch.equal(ours.images, drawn.images)
    assert torch.equal(ours.masks, drawn.masks)


def test_planes_of_volumes_with_enough_foreground(task):
    gallery = Gallery(Reading(task, "decathlon"))
    assert {picture.plane for picture in gallery.pictures} == set(range(4, 12))
    assert {picture.labels for picture in gallery.pictures} == {frozenset({1, 2})}
    assert gallery.classes == ("left", "right")
    picture = gallery.pictures[3]
    sample = gallery.sample(picture)
    scan = read_scan(task / picture.file.replace("images", "labels"))
    assert np.array_equal(sample.labels, planes_of(scan.pixels, scan.geometry)[..., picture.plane])
    assert sample.image.shape == (3, *sample.labels.shape)
    assert sample.square is None
    assert sample.spacing_mm == pytest.approx((1.0, 2.0))


def test_planes_without_any_foreground_come_with_a_support_set(task):
    gallery = Gallery(Reading(task, "decathlon"))
    assert gallery.empty
    assert not any(gallery.sample(picture).labels.any() for picture in gallery.empty)
    support = gallery.support_set(gallery.pictures[:2], 16, gallery.empty[:1])
    assert support.lacking.shape == (1, 3, 16, 16)
    assert support.lacking_sources[0].plane == gallery.empty[0].plane
    assert gallery.support_set(gallery.pictures[:2], 16).sha256 == support.with_lacking(0).sha256


def test_images_have_no_planes_that_show_nothing(skin):
    assert Gallery(Reading(skin, "isic2017", by_group=True)).empty == ()


def test_files_are_read_once(task):
    gallery = Gallery(Reading(task, "decathlon"))
    first = gallery.sample(gallery.pictures[0])
    for folder in ("imagesTr", "labelsTr"):
        for path in (task / folder).iterdir():
            path.unlink()
    assert torch.equal(gallery.sample(gallery.pictures[0]).image, first.image)


def test_an_image_of_unknown_diagnosis_is_refused(skin):
    next(skin.glob("*.csv")).unlink()
    with pytest.raises(InputError, match="an image of unknown class"):
        Gallery(Reading(skin, "isic2017", by_group=True))


def test_unnamed_labels_are_refused_and_names_taken(task):
    (task / "dataset.json").unlink()
    with pytest.raises(InputError, match="labels without names"):
        Gallery(Reading(task, "decathlon"))
    assert Gallery(Reading(task, "decathlon", classes=("head", "tail"))).classes == ("head", "tail")


def test_images_without_masks_are_refused(lesions):
    with pytest.raises(InputError, match="no image with a mask"):
        Gallery(Reading(lesions[0], classes=("skin",)))


def test_an_unknown_axis_is_refused(lesions):
    with pytest.raises(OptionError, match="unknown axis"):
        Gallery(Reading(lesions[0], axis="up"))
