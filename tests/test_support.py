from __future__ import annotations

import pytest
import torch

from medtap.errors import SupportError
from medtap.support import SupportSet, SupportSource


@pytest.fixture
def pair():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 8, 8, dtype=torch.int64)
    masks[0, 2:4], masks[1, 4:6] = 1, 2
    return images, masks


def test_a_set_of_tensors_knows_its_shots_and_size(pair):
    support = SupportSet.from_tensors(*pair, ["a", "b"])
    assert (support.shots, support.size, support.classes) == (2, 8, ("a", "b"))
    assert support.warnings == ()
    assert support.masks.dtype == torch.int64


@pytest.mark.parametrize("change", ["image", "mask", "class", "axis"])
def test_the_hash_tells_every_change(change, pair):
    images, masks = pair
    before = SupportSet.from_tensors(images, masks, ["a", "b"]).sha256
    assert SupportSet.from_tensors(images.clone(), masks.to(torch.uint8), ["a", "b"]).sha256 == before
    if change == "image":
        images = images.clone()
        images[0, 0, 0, 0] = 0
    if change == "mask":
        masks = masks.clone()
        masks[0, 0, 0] = 1
    names = ["a", "c"] if change == "class" else ["a", "b"]
    axis = "coronal" if change == "axis" else "axial"
    assert SupportSet.from_tensors(images, masks, names, axis=axis).sha256 != before


def test_the_same_image_twice_is_a_warning(pair):
    images, masks = pair
    support = SupportSet.from_tensors(images[[0, 0]], masks, ["a", "b"])
    assert support.warnings == ("the support set holds the same image twice: support-0 and support-1",)


def test_all_foreground_is_a_warning(pair):
    images, _ = pair
    support = SupportSet.from_tensors(images[:1], torch.ones(1, 8, 8), ["a"])
    assert support.warnings == ("a support mask is all foreground: support-0",)


def test_no_pair_is_refused():
    with pytest.raises(SupportError, match=r"no pair.*K = 0"):
        SupportSet.from_tensors(torch.zeros(0, 3, 8, 8), torch.zeros(0, 8, 8), ["a"])


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 8, 9), (3, 8, 8), (1, 3, 8, 8)])
def test_shapes_that_do_not_fit_are_refused(shape, pair):
    with pytest.raises(SupportError, match=r"wrong shapes.*\[K, 3, S, S\]"):
        SupportSet.from_tensors(torch.zeros(shape), pair[1], ["a", "b"])


@pytest.mark.parametrize("value", [2.0, -0.5, float("nan")])
def test_images_out_of_range_are_refused(value, pair):
    images = pair[0].clone()
    images[0, 0, 0, 0] = value
    with pytest.raises(SupportError, match="out of range"):
        SupportSet.from_tensors(images, pair[1], ["a", "b"])


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""]])
def test_names_must_differ(names, pair):
    with pytest.raises(SupportError, match="names of classes"):
        SupportSet.from_tensors(*pair, names)


def test_labels_beyond_the_classes_are_refused(pair):
    with pytest.raises(SupportError, match=r"not labels.*0 to 1.*--classes"):
        SupportSet.from_tensors(*pair, ["a"])


def test_an_empty_mask_is_refused(pair):
    with pytest.raises(SupportError, match="empty mask in the support set: support-1"):
        SupportSet.from_tensors(pair[0], pair[1] * torch.tensor([1, 0])[:, None, None], ["a"])


def test_a_class_in_no_mask_is_refused(pair):
    with pytest.raises(SupportError, match=r"a class that no support mask holds.*found c"):
        SupportSet.from_tensors(*pair, ["a", "b", "c"])


def test_sources_must_be_as_many_as_pairs(pair):
    with pytest.raises(SupportError, match="sources that do not fit"):
        SupportSet.from_tensors(*pair, ["a", "b"], sources=[SupportSource("x")])
