"""Folders of Pascal and COCO as a fold's episodes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medtap.errors import InputError, OptionError
from medtap.pretraining.folds import FoldOptions, read_fold
from medtap.pretraining.folds.coco import read_coco
from medtap.pretraining.folds.index_masks import read_pascal
from tests.pretraining.folds.tiny_folds import AREA, HEIGHT, WIDTH, save_mask, square, write_coco, write_pascal

LABELS = [6, 6, 7, 1, 7, 6]


def test_pascal_s_masks_are_read_as_indices(tmp_path: Path) -> None:
    first, *_ = pictures = read_pascal(write_pascal(tmp_path, LABELS), "train")
    assert [dict(picture.areas) for picture in pictures] == [{label: AREA} for label in LABELS]
    pixels, mask = first.read(6)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(mask, square(6) == 6)
    assert not first.read(7)[1].any()


def test_masks_of_sbd_take_the_place_of_voc_s(tmp_path: Path) -> None:
    folder = write_pascal(tmp_path, [6, 6])
    shutil.copytree(folder / "SegmentationClass", folder / "SegmentationClassAug")
    save_mask(folder / "SegmentationClassAug" / "p_01.png", square(9))
    assert [set(picture.areas) for picture in read_pascal(folder, "train")] == [{6}, {9}]


def test_lists_of_paths_are_read_as_lists_of_stems(tmp_path: Path) -> None:
    folder = write_pascal(tmp_path, [6, 7])
    listed = folder / "ImageSets" / "Segmentation" / "trainaug.txt"
    listed.write_text("/JPEGImages/p_01.jpg /SegmentationClassAug/p_01.png\n\n")
    assert [picture.image.name for picture in read_pascal(folder, "trainaug")] == ["p_01.jpg"]


def test_coco_s_outlines_and_index_masks_are_the_same(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, [1, 9, 80])
    outlined = read_coco(folder, "train2014")
    assert [dict(picture.areas) for picture in outlined] == [{1: AREA}, {9: AREA}, {80: AREA}]
    for index, label in enumerate([1, 9, 80]):
        save_mask(folder / "annotations" / "train2014" / f"c_{index:02}.png", square(label))
    indexed = read_coco(folder, "train2014")
    assert [dict(picture.areas) for picture in indexed] == [dict(picture.areas) for picture in outlined]
    for one, other, label in zip(outlined, indexed, [1, 9, 80], strict=True):
        assert all(np.array_equal(*parts) for parts in zip(one.read(label), other.read(label), strict=True))


@pytest.mark.parametrize(
    ("write", "layout", "labels", "base"),
    [(write_pascal, "pascal", [6, 1, 6, 5, 20], {6, 20}), (write_coco, "coco", [2, 1, 2, 5, 80], {2, 80})],
)
def test_test_classes_are_no_class_of_a_fold(tmp_path: Path, write, layout: str, labels, base) -> None:
    folder = str(write(tmp_path, labels))
    train, held_out = read_fold(FoldOptions(folder, layout, 0, least_pixels=20, hold_out_every=0))
    assert train.members == {labels[0]: (0, 2), labels[4]: (4,)}
    assert set(train.members) == base
    assert held_out.pictures == ()


def test_photographs_of_test_classes_are_left_out_where_asked(tmp_path: Path) -> None:
    folder = write_pascal(tmp_path, [6, 6, 7])
    both = square(6)
    both[-4:, -8:] = 2
    save_mask(folder / "SegmentationClass" / "p_00.png", both)
    options = {"folder": str(folder), "least_pixels": 20, "hold_out_every": 0}
    assert read_fold(FoldOptions(**options))[0].members == {6: (0, 1), 7: (2,)}
    assert read_fold(FoldOptions(**options, leave_out_novel=True))[0].members == {6: (0,), 7: (1,)}


def test_every_so_many_photographs_are_held_out(tmp_path: Path) -> None:
    folder = str(write_pascal(tmp_path, [6, 6, 7, 6, 7]))
    train, held_out = read_fold(FoldOptions(folder, least_pixels=20, hold_out_every=3))
    assert [picture.image.stem for picture in held_out.pictures] == ["p_00", "p_03"]
    assert [picture.image.stem for picture in train.pictures] == ["p_01", "p_02", "p_04"]


def test_photographs_that_hardly_show_a_class_are_not_drawn_for_it(tmp_path: Path) -> None:
    folder = str(write_pascal(tmp_path, [6, 6]))
    assert read_fold(FoldOptions(folder, least_pixels=AREA, hold_out_every=0))[0].members == {6: (0, 1)}
    with pytest.raises(InputError, match=r"at least 193 pixels of one of 15 classes; found 2 photographs"):
        read_fold(FoldOptions(folder, least_pixels=AREA + 1, hold_out_every=0))


def test_all_mistakes_of_a_fold_are_told_at_once() -> None:
    with pytest.raises(OptionError, match=r"not 'voc'; a fold of 0 to 3, not 4; .* not 0; .* not 1$"):
        FoldOptions("x", "voc", 4, least_pixels=0, hold_out_every=1)


def test_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    pascal, coco = write_pascal(tmp_path / "pascal", [6, 6]), write_coco(tmp_path / "coco", [2, 2])
    with pytest.raises(InputError, match=r"val\.txt: no list of the photographs"):
        read_pascal(pascal, "val")
    (pascal / "SegmentationClass" / "p_01.png").unlink()
    with pytest.raises(InputError, match=r"p_01\.png: a photograph or its mask is missing"):
        read_pascal(pascal, "train")
    with pytest.raises(InputError, match=r"instances_val2014\.json: no annotations.*found no file"):
        read_coco(coco, "val2014")
    (coco / "train2014" / "c_00.jpg").unlink()
    with pytest.raises(InputError, match=r"c_00\.jpg: a photograph is missing"):
        read_coco(coco, "train2014")


@pytest.mark.parametrize("damage", ["not JSON", "[]", '{"images": []}'])
def test_damaged_annotations_are_refused(tmp_path: Path, damage: str) -> None:
    folder = write_coco(tmp_path, [2])
    (folder / "annotations" / "instances_train2014.json").write_text(damage)
    with pytest.raises(InputError, match=r"no annotations of COCO can be read.*damaged or foreign"):
        read_coco(folder, "train2014")


def test_annotations_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [2]) / "annotations" / "instances_train2014.json"
    told = json.loads(path.read_text())
    told["images"][0]["file_name"] = "../../secret.jpg"
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match="leads out of its own folder"):
        read_coco(tmp_path, "train2014")


def test_unfit_masks_and_photographs_are_refused(tmp_path: Path) -> None:
    folder = write_pascal(tmp_path, [6])
    picture = read_pascal(folder, "train")[0]
    save_mask(folder / "SegmentationClass" / "p_00.png", square(6)[:-1])
    with pytest.raises(InputError, match="differ in size; expected 29 x 40, as its mask; found 30 x 40"):
        picture.read(6)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "SegmentationClass" / "p_00.png")
    with pytest.raises(InputError, match="a mask of colours"):
        picture.read(6)
    (folder / "JPEGImages" / "p_00.jpg").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a readable image"):
        picture.read(6)
