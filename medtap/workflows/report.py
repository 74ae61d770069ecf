"""The page that a run leaves behind: what it is made from, and its file."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import MetaTensor

from medtap.data import Geometry, plane_transforms, planes_of, read_labels, read_scan, scan_tensor
from medtap.data.scan import voxel_sizes
from medtap.errors import MedtapError
from medtap.metrics import CaseScores
from medtap.outputs import RunFolder, atomic_write
from medtap.outputs.state import read_state
from medtap.record import AdaptationRecord
from medtap.report import (
    REPORT,
    CasePicture,
    Page,
    Problems,
    evaluation_page,
    learnt_from,
    prediction_page,
    render,
    rerun,
    take_picture,
    to_bytes,
)
from medtap.workflows.adapt import CONTACT_SHEET
from medtap.workflows.stream import Failure, Item

if TYPE_CHECKING:
    from medtap.workflows.predict import Outcome

_SAMPLE = 12


def case_picture(item: Item, record: AdaptationRecord) -> CasePicture:
    """The picture of a segmented item.

    Args:
        item: ``image`` [C,H,W] or [1,H,W,planes] in [0,1] as the network sees it; ``pred`` and, where there is one,
            ``label`` [1,...] on the grid of the image as stored.
        record: of the adapter.
    """
    image: MetaTensor = item["image"]
    found = _planes(item["pred"], image, record.axis)
    truth = _planes(item["label"], image, record.axis) if "label" in item else None
    rows, columns = voxel_sizes(np.asarray(image.affine.cpu()))[:2].tolist() if image.ndim == 4 else (1.0, 1.0)
    return take_picture(np.asarray(image.as_tensor().cpu()), found, truth, len(record.classes), (rows, columns))


def _planes(labels: torch.Tensor, image: MetaTensor, axis: str) -> np.ndarray:
    stored = np.asarray(labels[0].cpu()).astype(np.uint8)
    affine = np.asarray(image.meta["original_affine"])
    return planes_of(stored, Geometry(affine, stored.shape), axis)


def write_evaluation_report(
    run: RunFolder,
    record: AdaptationRecord,
    metrics: Mapping[str, Any],
    scores: Mapping[str, CaseScores],
    pictures: Mapping[str, CasePicture],
    outcome: Outcome,
    options: Mapping[str, Any],
    note: str = "",
) -> None:
    """Write ``report.html`` of an evaluation.

    Args:
        run: the open run folder.
        record: of the adapter.
        metrics: the content of ``metrics.json``.
        scores: by case.
        pictures: by case.
        outcome: what became of the cases.
        options: of the command, by their Python names.
        note: what must be known of the data.
    """
    rows = {name: score.row() for name, score in scores.items()}
    parts = _common_parts("evaluate", record, outcome, options)
    _write(run, evaluation_page(record, metrics, rows, pictures, note=note, **parts))


def write_prediction_report(
    run: RunFolder,
    record: AdaptationRecord,
    items: Sequence[Item],
    masks: Mapping[str, str],
    outcome: Outcome,
    options: Mapping[str, Any],
) -> None:
    """Write ``report.html`` of a prediction, its sample read again from the images and the masks written.

    So the page is the same whether or not the run was interrupted.

    Args:
        run: the open run folder.
        record: of the adapter.
        items: of all cases, with the paths of their images.
        masks: relative path of the mask of each case that went through.
        outcome: what became of the cases.
        options: of the command, by their Python names.
    """
    pictures = sampled_pictures(run, record, [item for item in items if item["name"] in masks], masks)
    _write(run, prediction_page(record, masks, pictures, **_common_parts("predict", record, outcome, options)))


def sampled_pictures(
    run: RunFolder, record: AdaptationRecord, items: Sequence[Item], masks: Mapping[str, str]
) -> dict[str, CasePicture]:
    """Pictures of some cases, drawn by the adaptation's seed; without those that can no longer be read."""
    drawn = random.Random(record.tap["seed"]).sample(list(items), min(_SAMPLE, len(items)))
    found = {item["name"]: _reread_picture(item, run.path / masks[item["name"]], record) for item in drawn}
    return {name: picture for name, picture in found.items() if picture is not None}


def _reread_picture(item: Item, mask: Path, record: AdaptationRecord) -> CasePicture | None:
    try:
        scan = read_scan(item["image"])
        labels = read_labels(mask, scan, classes=record.classes)
    except MedtapError:
        return None
    loaded = {"image": scan_tensor(scan)}
    del scan  # of a whole series, before the transforms make another copy of it
    image = plane_transforms(record.axis)(loaded)["image"]
    return case_picture({"image": image, "pred": torch.from_numpy(labels[None])}, record)


def _common_parts(
    command: str, record: AdaptationRecord, outcome: Outcome, options: Mapping[str, Any]
) -> dict[str, Any]:
    adapter = Path(options["adapter"])
    roots = [f"{Path(options[key])}/" for key in ("images", "masks") if options.get(key) is not None]
    sheet = adapter / CONTACT_SHEET
    state = read_state(adapter)
    return {
        "learnt": learnt_from(record, sheet.read_bytes() if sheet.is_file() else None),
        "problems": Problems(
            failed=tuple(_failed(outcome.failures, roots)),
            skipped=tuple((_inside(str(file), roots), reason) for file, reason in outcome.skipped),
            warnings=(*record.warnings, *(_inside(warning, roots) for warning in outcome.warnings)),
        ),
        "rerun": rerun(command, options, record, state["options"] if state else {}),
    }


def _failed(failures: Iterable[Failure], roots: Sequence[str]) -> list[tuple[str, str]]:
    return sorted((failure.case, _inside(failure.reason, roots)) for failure in failures)


def _inside(text: str, roots: Sequence[str]) -> str:
    """A text whose paths start below the folders that the user named."""
    for root in roots:
        text = text.replace(root, "")
    return text


def _write(run: RunFolder, page: Page) -> None:
    with atomic_write(run.file(REPORT)) as partial:
        partial.write_bytes(to_bytes(render(page)))
