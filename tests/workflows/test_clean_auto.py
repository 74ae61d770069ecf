"""Cleaning as the support masks say: what it decides, what it does, and that it tells."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medtap.adaptation import TapOptions, take_a_peek
from medtap.data import image_transforms
from medtap.record import MANIFEST, AdaptationRecord
from medtap.support_shape import ClassShape
from medtap.workflows import evaluate, predict
from medtap.workflows.clean import cleaning, cleaning_note, pieces_of, plane_cleaning
from medtap.workflows.transforms import to_labels
from tests.tiny import support_set, tiny_network

SOLID, PAIR, RING = ClassShape(5, 1, holes=False), ClassShape(5, 2, holes=False), ClassShape(5, 1, holes=True)


def cleaned(labels: np.ndarray, *shapes: ClassShape) -> np.ndarray:
    """Label maps [H,W] or [H,W,D] after ``auto``."""
    value: torch.Tensor = MetaTensor(torch.from_numpy(labels)[None])
    for step in plane_cleaning(shapes):
        value = step(value)
    return np.asarray(value)[0]


@pytest.fixture
def plane() -> np.ndarray:
    """Three squares of label 1, the largest one hollow; label 2 apart."""
    labels = np.zeros((20, 20), np.uint8)
    labels[1:9, 1:9], labels[4, 4], labels[1:5, 12:16], labels[12:14, 2:4], labels[15:19, 15:19] = 1, 0, 1, 1, 2
    return labels


@pytest.mark.parametrize(
    ("shape", "pieces"),
    [
        (SOLID, 1),
        (PAIR, 2),
        (replace(SOLID, components=3), None),
        (replace(SOLID, masks=3), 1),
        (replace(SOLID, masks=2), None),
        (replace(SOLID, masks=1), None),
    ],
)
def test_pieces_are_counted_where_there_are_masks_enough_and_few_pieces(shape: ClassShape, pieces: int | None) -> None:
    assert pieces_of(shape) == pieces


def test_as_many_pieces_stay_as_any_support_mask_has(plane: np.ndarray) -> None:
    expected = plane.copy()
    expected[4, 4], expected[12:14, 2:4] = 1, 0
    np.testing.assert_array_equal(cleaned(plane, PAIR, SOLID), expected)
    expected[1:5, 12:16] = 0
    np.testing.assert_array_equal(cleaned(plane, SOLID, SOLID), expected)


def test_holes_of_a_class_that_has_some_stay(plane: np.ndarray) -> None:
    assert cleaned(plane, RING, RING)[4, 4] == 0


def test_one_mask_fills_holes_and_keeps_every_piece(plane: np.ndarray) -> None:
    expected = plane.copy()
    expected[4, 4] = 1
    np.testing.assert_array_equal(cleaned(plane, ClassShape(1, 1, holes=False), RING), expected)


def test_each_class_goes_by_its_own_masks(plane: np.ndarray) -> None:
    plane[15:19, 1:3] = 2
    found = cleaned(plane, ClassShape(5, 9, holes=True), SOLID)
    np.testing.assert_array_equal(found == 1, plane == 1)
    assert (found == 2).sum() == 16


def test_volumes_are_cleaned_plane_by_plane(plane: np.ndarray) -> None:
    """In three dimensions all pieces of the second plane would hang together over the first."""
    planes = np.stack([np.ones_like(plane), plane, np.zeros_like(plane), plane.T], axis=-1)
    found = cleaned(planes, SOLID, SOLID)
    assert found.dtype == np.uint8
    for index in range(4):
        np.testing.assert_array_equal(found[..., index], cleaned(planes[..., index].copy(), SOLID, SOLID))
    np.testing.assert_array_equal(planes[..., 1], plane)


def test_nothing_to_clean_by_is_no_step() -> None:
    assert plane_cleaning([]) == plane_cleaning([ClassShape(1, 1, holes=True)]) == []
    assert cleaning("auto", 2) == []


def test_planes_are_those_of_the_support_set_and_the_mask_lies_where_the_volume_does(tmp_path: Path) -> None:
    """Coronal planes of a volume stored along other axes."""
    labels = np.zeros((16, 18, 20), np.uint8)
    labels[2:10, 5, 3:12], labels[12:15, 5, 15:18], labels[2:4, 9, 2:4] = 1, 1, 1
    affine = nib.orientations.inv_ornt_aff(np.array([[0, -1], [1, 1], [2, -1]]), labels.shape)
    nib.save(nib.Nifti1Image(labels.astype(np.float32), affine), tmp_path / "a.nii")
    preprocessing = image_transforms("coronal")
    item = preprocessing({"image": str(tmp_path / "a.nii")})
    planes = item["image"].as_tensor()[:1] > 0.5
    logits = torch.cat([~planes, planes]).float()
    expected = labels.copy()
    expected[12:15, 5, 15:18] = 0
    back = to_labels(preprocessing, "auto", 1, [SOLID])
    np.testing.assert_array_equal(np.asarray(back({**item, "pred": logits})["pred"])[0], expected)
    same = to_labels(preprocessing, "none", 1, [SOLID])
    np.testing.assert_array_equal(np.asarray(same({**item, "pred": logits})["pred"])[0], labels)


def test_record_keeps_the_shapes_in_the_order_of_the_labels(tmp_path: Path) -> None:
    record = take_a_peek(tiny_network(), support_set(3, 2), options=TapOptions(passes=0)).record
    assert record is not None
    assert record.shapes == (ClassShape(3, 1, holes=False),) * 2
    record = replace(record, classes=("z", "a"), support_shape={"z": SOLID, "a": RING})
    (tmp_path / MANIFEST).write_text(json.dumps(record.as_json(), sort_keys=True))
    assert AdaptationRecord.read(tmp_path).shapes == (SOLID, RING)


def without_shapes(adapter: Path) -> None:
    """An adapter's manifest as older versions wrote it."""
    manifest = json.loads((adapter / MANIFEST).read_text())
    del manifest["support_shape"]
    (adapter / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (SOLID, "spot: at most 1 piece kept and holes filled"),
        (PAIR, "spot: at most 2 pieces kept and holes filled"),
        (RING, "spot: at most 1 piece kept"),
        (ClassShape(1, 1, holes=True), "spot: left as it is"),
    ],
)
def test_decision_is_told(shape: ClassShape, told: str) -> None:
    record = take_a_peek(tiny_network(), support_set(1), options=TapOptions(passes=0)).record
    assert record is not None
    (note,) = cleaning_note(replace(record, classes=("spot",), support_shape={"spot": shape}))
    assert note.endswith(told)


def test_decision_is_in_the_report_and_in_the_manifest(
    skin_adapter: Path, lesions: tuple[Path, Path], tmp_path: Path
) -> None:
    outcome = predict(skin_adapter, lesions[0], tmp_path / "out", clean="auto")
    (note,) = (warning for warning in outcome.warnings if "cleaned" in warning)
    assert "holes filled" in note
    assert "piece" not in note  # two masks are too few
    assert note in json.loads((tmp_path / "out" / "run.json").read_text())["details"]["warnings"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert note in page
    assert "--clean auto" in page
    assert not any("cleaned" in warning for warning in predict(skin_adapter, lesions[0], tmp_path / "plain").warnings)


def test_older_adapter_is_not_cleaned_by_and_that_is_told(
    skin_adapter: Path, lesions: tuple[Path, Path], tmp_path: Path
) -> None:
    without_shapes(skin_adapter)
    _, outcome = evaluate(skin_adapter, *lesions, tmp_path / "auto", clean="auto")
    assert "does not tell the shape of the support masks: masks are not cleaned" in " ".join(outcome.warnings)
    evaluate(skin_adapter, *lesions, tmp_path / "none")
    tables = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("auto", "none")]
    assert tables[0] == tables[1]
