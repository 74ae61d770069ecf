"""The whole job on generated images, so that it can be seen without any data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from medtap.adaptation import TapOptions
from medtap.adapted import AdaptedSegmenter
from medtap.chance import smooth_noise, uniform
from medtap.data import read_labels, read_scan
from medtap.outputs import RunFolder, atomic_write
from medtap.pretraining.appearance import blur, deform
from medtap.pretraining.scenes import lesion
from medtap.report import REPORT, contact_sheet
from medtap.workflows.adapt import adapt
from medtap.workflows.evaluate import evaluate
from medtap.workflows.predict import Outcome, Progress, all_items, predict

_IMAGES, _SIDE, _SHOWN = 25, 256, 8
_NOTE = "A demonstration: these images are generated, and no patient is in them."


def run_demo(
    out: Path, *, seed: int = 0, device: str = "auto", overwrite: bool = False, progress: Progress = all_items
) -> tuple[AdaptedSegmenter, dict[str, Any], Outcome]:
    """Generate images, adapt to five of them, segment and score the others.

    Args:
        out: the folder for ``data``, ``adapter``, ``masks``, ``scores``, ``predictions.png`` and ``report.html``, which
            is the one of the scores.
        seed: of the images and of the adaptation.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether an earlier demo in ``out`` may be replaced.
        progress: shows how far the run is.

    Raises:
        OutputError: ``out`` cannot or must not be written to.
    """
    with RunFolder(out, inputs=[], options={"demo": _IMAGES, "seed": seed}, overwrite=overwrite) as run:
        write_demo_data(run, seed)
        images, masks = out / "data" / "images", out / "data" / "masks"
        common: dict[str, Any] = {"device": device, "overwrite": True}
        adapted = adapt(images, masks, out / "adapter", options=TapOptions(seed=seed), classes=("lesion",), **common)
        predict(out / "adapter", images, out / "masks", progress=progress, **common)
        common |= {"progress": progress, "note": _NOTE}
        metrics, outcome = evaluate(out / "adapter", images, masks, out / "scores", **common)
        sheet = predictions_sheet(images, masks, out / "masks", outcome.done[:_SHOWN])
        with atomic_write(run.file("predictions.png")) as partial:
            sheet.save(partial, format="PNG")
        with atomic_write(run.file(REPORT)) as partial:
            partial.write_bytes((out / "scores" / REPORT).read_bytes())
    return adapted, metrics, outcome


def demo_data(folder: str | Path, seed: int = 0) -> tuple[Path, Path]:
    """Generate 25 annotated images to try things on.

    Args:
        folder: new or empty.
        seed: of the images.

    Returns:
        The folders of the images and of their masks, PNG of the same names.

    Raises:
        OutputError: the folder holds something else or cannot be written to.
    """
    with RunFolder(folder, inputs=[], options={"demo": _IMAGES, "seed": seed}) as run:
        write_demo_data(run, seed)
    return Path(folder) / "data" / "images", Path(folder) / "data" / "masks"


def write_demo_data(run: RunFolder, seed: int) -> None:
    """Write generated skin-like images and the masks of their lesions as PNG."""
    generator = Generator().manual_seed(seed)
    labels, target = lesion(_IMAGES, _SIDE, generator)
    masks = torch.isin(deform(labels, 0.4, generator), torch.tensor(target)).float()
    for index, (image, mask) in enumerate(zip(skin_images(masks, generator), masks, strict=True)):
        _write(run, f"data/images/{index:02d}.png", image.permute(1, 2, 0))
        _write(run, f"data/masks/{index:02d}.png", mask)


def skin_images(masks: Tensor, generator: Generator) -> Tensor:
    """Paint lesions [n,S,S] brown with fuzzy borders on pink skin, mottled and unevenly lit: [n,3,S,S] in [0,1]."""
    n, size = len(masks), masks.shape[-1]
    skin = torch.tensor([0.85, 0.65, 0.58]) + uniform(-0.06, 0.06, (n, 3), generator)
    mole = torch.tensor([0.45, 0.28, 0.22]) + uniform(-0.08, 0.08, (n, 3), generator)
    share = blur(masks[:, None], 3.0) * (0.8 + 0.2 * smooth_noise((n, 1), size, 10, generator)).clamp(0, 1)
    images = torch.lerp(skin[:, :, None, None], mole[:, :, None, None], share)
    light = 0.05 * smooth_noise((n, 1), size, 3, generator) + 0.02 * smooth_noise((n, 1), size, 40, generator)
    return (images + light).clamp(0, 1)


def _write(run: RunFolder, name: str, values: Tensor) -> None:
    with atomic_write(run.file(name)) as partial:
        Image.fromarray((values.numpy() * 255).round().astype(np.uint8)).save(partial, format="PNG")


def predictions_sheet(images: Path, masks: Path, predictions: Path, names: Sequence[str]) -> Image.Image:
    """A contact sheet of some images, their true masks outlined, their predicted ones shaded."""
    scans = [read_scan(images / f"{name}.png") for name in names]
    truth = np.stack([read_labels(masks / f"{scan.path.name}", scan) for scan in scans])
    found = np.stack([read_labels(predictions / f"{scan.path.name}", scan) for scan in scans])
    pixels = torch.from_numpy(np.stack([scan.pixels for scan in scans])).permute(0, 3, 1, 2).float() / 255
    return contact_sheet(pixels, torch.from_numpy(truth), ("lesion",), torch.from_numpy(found))
