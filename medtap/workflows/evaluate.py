"""From an adapted network and annotated images to scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medtap.adapted import load_adapted
from medtap.data import SPACING
from medtap.datasets import CaseList, find_cases
from medtap.errors import InputError
from medtap.inference import PlaneInferer, choose_device
from medtap.memory import peak_memory_mb
from medtap.metrics import CASE_SCORES, CaseScores, score_case, summarise
from medtap.outputs import RunFolder, write_csv, write_json
from medtap.record import AdaptationRecord
from medtap.workflows.predict import Outcome, Progress, all_items, in_support, record_of, segment_cases
from medtap.workflows.stream import CaseStream, Item, case_items
from medtap.workflows.transforms import evaluation_transforms

METRICS_TABLE, METRICS = "metrics.csv", "metrics.json"


def evaluate(
    adapter: str | Path,
    images: str | Path,
    masks: str | Path | None,
    out: str | Path,
    *,
    layout: str | None = None,
    mask_threshold: float | None = None,
    device: str = "auto",
    batch_size: int = 8,
    overwrite: bool = False,
    progress: Progress = all_items,
) -> tuple[dict[str, Any], Outcome]:
    """Segment annotated images that are not in the support set, score them on their own grid, write the scores.

    Args:
        adapter: the folder that ``adapt`` wrote.
        images: a folder (read recursively), a file or a CSV.
        masks: folder or file of the masks; None where a CSV names them.
        out: the folder for ``metrics.csv`` and ``metrics.json``.
        layout: how the folder is laid out, where that is not plain.
        mask_threshold: foreground of the masks is what lies above it.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_size: planes at once.
        overwrite: whether an earlier run in ``out`` may be replaced.
        progress: shows how far the run is.

    Returns:
        The content of ``metrics.json``, and what became of the cases.

    Raises:
        MedtapError: an input, option or output is refused before any work.
    """
    on = choose_device(device)
    adapted = load_adapted(adapter).to(on)
    record = record_of(adapted)
    cases, left_out = without_support(find_cases(images, masks, layout=layout), record)
    items = case_items(cases, images)
    outcome = Outcome(skipped=list(cases.skipped), warnings=[*cases.warnings, *left_out])
    inputs = [Path(folder) for folder in (images, masks) if folder is not None]
    options = {"adapter_sha256": record.adapter_sha256, "inputs": inputs, "layout": layout, "threshold": mask_threshold}
    preprocessing = evaluation_transforms(record.axis, mask_threshold, len(record.classes))
    with RunFolder(out, inputs=inputs, options=options, overwrite=overwrite) as run:
        scores: dict[str, CaseScores] = {}
        stream, start = CaseStream(items, preprocessing, outcome.failures), time.perf_counter()
        inferer = PlaneInferer(record.size, batch_size)
        for item in progress(segment_cases(adapted, stream, inferer, preprocessing, on), len(items)):
            scores[item["name"]] = score_item(item, record.classes)
        outcome.done, outcome.seconds = list(scores), time.perf_counter() - start
        metrics = write_scores(run, scores, record, failed=len(outcome.failures), seconds=outcome.seconds)
        outcome.write(run)
    return metrics, outcome


def without_support(cases: CaseList, record: AdaptationRecord) -> tuple[CaseList, list[str]]:
    """Leave out the cases whose image is in the support set, and say how many they were."""
    kept = tuple(case for case in cases.cases if not in_support(case, record))
    left = len(cases.cases) - len(kept)
    return replace(cases, cases=kept), [f"left out {left} cases of the support set"] if left else []


def score_item(item: Item, classes: Sequence[str]) -> CaseScores:
    """Score an item's ``pred`` [1,...] against its ``label`` [1,...], in mm where the image's spacing is known."""
    found, truth = (np.asarray(item[key].cpu())[0].astype(np.uint8) for key in ("pred", "label"))
    spacing = [float(step) for step in item["label"].meta[SPACING]]
    return score_case(found, truth, classes, spacing if np.isfinite(spacing).all() else None)


def write_scores(
    run: RunFolder, scores: Mapping[str, CaseScores], record: AdaptationRecord, *, failed: int, seconds: float
) -> dict[str, Any]:
    """Write ``metrics.csv``, a row a case, and ``metrics.json``.

    Raises:
        InputError: every case failed, so there is nothing to tell.
    """
    if not scores:
        raise InputError("no case could be scored", file=run.path, remedy="see the errors of the cases")
    rows = [{"case": name, **score.row()} for name, score in scores.items()]
    write_csv(run.file(METRICS_TABLE), rows, list(rows[0]))
    metrics = {
        **summarise(list(scores.values()), seed=record.tap["seed"]),
        "failed": failed,
        "classes": record.classes,
        "seed": record.tap["seed"],
        "shots": record.shots,
        "network": record.network,
        "method": record.method,
        "support_sha256": record.support_sha256,
        "cost": {
            "adapt_seconds": record.cost.get("adapt_seconds"),
            "seconds_per_image": round(seconds / len(scores), 4),
            "peak_rss_mb": peak_memory_mb(),
        },
    }
    write_json(run.file(METRICS), metrics)
    return metrics


def score_table(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of (class, Dice, IoU, surface Dice, 95 % Hausdorff, mIoU) for people to read, the mean of all first."""
    keys = (*CASE_SCORES, "miou")
    rows = {"all": metrics} | (metrics["per_class"] if len(metrics["per_class"]) > 1 else {})
    return [(name, *(shown_score(scores[key]) for key in keys)) for name, scores in rows.items()]


def shown_score(score: Mapping[str, Any]) -> str:
    """A score for people to read: its mean and, where there is one, its interval."""
    if score["mean"] is None:
        return "-"
    interval = "" if score["ci95"] is None else " ({:.3f} to {:.3f})".format(*score["ci95"])
    return f"{score['mean']:.3f}{interval}"
