from __future__ import annotations

import json

import pytest

from medtap.datasets import find_cases
from medtap.datasets.decathlon import read_classes
from medtap.errors import InputError


def manifest(root, content):
    path = root / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def make(root, content):
    for name in ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"):
        (root / name).parent.mkdir()
        (root / name).write_bytes(b"x")
    return manifest(root, content)


@pytest.mark.parametrize(
    "labels", [{"0": "background", "1": "liver", "2": "tumour"}, {"background": 0, "tumour": 2, "liver": 1}]
)
def test_classes_are_named_in_the_order_of_their_labels(labels, tmp_path):
    assert read_classes(manifest(tmp_path, {"labels": labels})) == ("liver", "tumour")


def test_the_folder_of_images_and_the_root_give_the_same(tmp_path):
    make(tmp_path, {"labels": {"0": "background", "1": "liver"}})
    found = find_cases(tmp_path)
    assert found == find_cases(tmp_path / "imagesTr", tmp_path / "labelsTr")
    assert found.classes == ("liver",)


def test_no_labels_no_names(tmp_path):
    assert read_classes(manifest(tmp_path, {"name": "x"})) is None


def test_gaps_between_labels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"without gaps.*found 1, 3"):
        read_classes(manifest(tmp_path, {"labels": {"1": "a", "3": "b"}}))


@pytest.mark.parametrize("content", ["{", "[]", '{"labels": 3}'])
def test_a_damaged_manifest_is_refused(content, tmp_path):
    with pytest.raises(InputError, match=r"not a readable dataset\.json"):
        read_classes(manifest(tmp_path, content))


@pytest.mark.parametrize("named", ["../../secret.nii", "/etc/secret.nii"])
def test_a_list_that_leads_out_is_refused_and_not_repeated(named, tmp_path):
    with pytest.raises(InputError, match="leads out of its own folder") as caught:
        read_classes(manifest(tmp_path, {"training": [{"image": named, "label": "./a.nii"}]}))
    assert "secret" not in str(caught.value)
