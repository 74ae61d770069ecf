"""ISIC challenges, lesion segmentation: 2017 (Codella et al. 2018) and 2018 task 1.

Images come as ``ISIC_*.jpg`` beside ``*_superpixels.png`` that are no images of their own; masks as
``ISIC_*_segmentation.png``. Republished copies have images stretched to a square and masks at native size: the mask
is then resized to the image.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from medtap.datasets.cases import Case, CaseList
from medtap.datasets.layout import Layout, folders_below
from medtap.datasets.pairing import pair_cases

_CLASSES = ("lesion",)
_FOLDERS_2017 = [("ISIC-2017_*_Data", "ISIC-2017_*_Part1_GroundTruth")]
_FOLDERS_2018 = [("ISIC2018_Task1*_Input", "ISIC2018_Task1_*_GroundTruth")]


def find_isic2017(images: Path, masks: Path | None) -> CaseList:
    """Cases of ISIC 2017, grouped by the diagnosis of part 3's table where it lies beside the images."""
    images, masks = folders_below(images, masks, _FOLDERS_2017)
    found = _find(images, masks)
    diagnoses = _diagnoses(images.parent)
    return replace(found, cases=tuple(replace(case, group=_diagnosis(case, diagnoses)) for case in found.cases))


def find_isic2018(images: Path, masks: Path | None) -> CaseList:
    """Cases of ISIC 2018 task 1."""
    return _find(*folders_below(images, masks, _FOLDERS_2018))


def _find(images: Path, masks: Path | None) -> CaseList:
    return replace(pair_cases(images, masks, ignore=_superpixels, resize_mask=True), classes=_CLASSES)


def _superpixels(path: Path) -> str | None:
    return "superpixels, no image of their own" if path.stem.endswith("_superpixels") else None


def _diagnosis(case: Case, diagnoses: dict[str, str]) -> str | None:
    return diagnoses.get(Path(case.name).name)


def _diagnoses(folder: Path) -> dict[str, str]:
    """Image id -> melanoma, seborrheic_keratosis or nevus, of the tables of part 3."""
    found = {}
    for table in sorted(folder.glob("ISIC-2017_*_Part3_GroundTruth.csv")):
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                flagged = [name for name in ("melanoma", "seborrheic_keratosis") if _is_one(row.get(name))]
                found[row.get("image_id") or ""] = flagged[0] if flagged else "nevus"
    return found


def _is_one(value: str | None) -> bool:
    return value is not None and value.strip() in ("1", "1.0")


ISIC2017 = Layout("isic2017", find_isic2017, fits=lambda folder: folder.match("ISIC-2017_*_Data"))
ISIC2018 = Layout("isic2018", find_isic2018, fits=lambda folder: folder.match("ISIC2018_Task1*_Input"))
