"""Medical Segmentation Decathlon (Antonelli et al. 2022): imagesTr, labelsTr and dataset.json with the classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from medtap.datasets.cases import CaseList
from medtap.datasets.layout import Layout, folders_below
from medtap.datasets.pairing import pair_cases
from medtap.datasets.paths import path_below
from medtap.errors import InputError


def find_decathlon(images: Path, masks: Path | None) -> CaseList:
    """Cases of a task; ``images`` may be its root or its imagesTr.

    Raises:
        InputError: dataset.json is damaged, its labels are not 1 to N, or it names files out of its folder.
    """
    images, masks = folders_below(images, masks, [("imagesTr", "labelsTr")])
    manifest = images.parent / "dataset.json"
    classes = read_classes(manifest) if manifest.is_file() else None
    return replace(pair_cases(images, masks), classes=classes)


def read_classes(manifest: Path) -> tuple[str, ...] | None:
    """Names of the labels 1 to N of a dataset.json; None where it has none.

    Takes the decathlon's ``{"1": "liver"}`` and nnU-Net's ``{"liver": 1}``.

    Raises:
        InputError: as `find_decathlon`.
    """
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        _check_paths(content, manifest)
        named = _by_value(content["labels"]) if "labels" in content else None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError("not a readable dataset.json", file=manifest, expected='"labels": {"1": "name"}') from error
    if named is None:
        return None
    if sorted(named) != list(range(1, len(named) + 1)):
        found = ", ".join(str(value) for value in sorted(named))
        raise InputError("labels without gaps are needed", file=manifest, expected="1, 2, ...", found=found)
    return tuple(named[value] for value in sorted(named))


def _by_value(labels: dict[str, Any]) -> dict[int, str]:
    pairs = [(int(key), str(value)) if key.isdigit() else (int(value), key) for key, value in labels.items()]
    return {value: name for value, name in pairs if value != 0}


def _check_paths(content: dict[str, Any], manifest: Path) -> None:
    for row in [*content.get("training", []), *content.get("test", [])]:
        for named in row.values() if isinstance(row, dict) else [row]:
            path_below(manifest.parent, str(named), manifest)


def _fits(folder: Path) -> bool:
    root = folder if (folder / "imagesTr").is_dir() else folder.parent
    return (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()


DECATHLON = Layout("decathlon", find_decathlon, fits=_fits)
