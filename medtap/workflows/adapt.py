"""From annotated images to an adapted network in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import FILES, AdaptedSegmenter
from medtap.adapters import Adapter
from medtap.datasets import find_cases
from medtap.defaults import NETWORK
from medtap.episodes import draw_support
from medtap.inference import choose_device, input_size
from medtap.networks.zoo import load_network, weights_sha256
from medtap.outputs import RunFolder, atomic_write
from medtap.presets import use_preset
from medtap.report import contact_sheet
from medtap.support import SupportSet

CONTACT_SHEET = "support.png"


def gather_support(
    images: str | Path,
    masks: str | Path | None,
    *,
    shots: int,
    seed: int,
    size: int,
    layout: str | None = None,
    axis: str = "axial",
    mask_threshold: float | None = None,
    classes: Sequence[str] | None = None,
    lacking: int = 0,
) -> SupportSet:
    """Find annotated cases and draw a support set from them; see ``find_cases`` and ``draw_support``."""
    cases, drawn = find_cases(images, masks, layout=layout), {"shots": shots, "lacking": lacking, "seed": seed}
    return draw_support(cases, **drawn, size=size, axis=axis, mask_threshold=mask_threshold, classes=classes)


def adapt(
    images: str | Path,
    masks: str | Path | None,
    out: str | Path,
    *,
    network: str = NETWORK,
    preset: str = "medtap",
    adapter: Adapter | None = None,
    options: TapOptions | None = None,
    shots: int = 5,
    size: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    **support: Any,
) -> AdaptedSegmenter:
    """Adapt a network to a support set and write it, see ``AdaptedSegmenter.save``, and ``support.png``.

    Args:
        images: folder, file or CSV of annotated images.
        masks: folder or file of their masks; None where a CSV names them.
        out: the folder to write.
        network: a name of the zoo, or a folder.
        preset: a name of `PRESETS`, for what is not given of the next two.
        adapter: what is trained.
        options: how it is trained; its seed draws the support set too.
        shots: K.
        size: side in pixels that images are brought to; the network's own when None.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether an earlier run in ``out`` may be replaced.
        support: ``lacking``, ``layout``, ``axis``, ``mask_threshold`` and ``classes``, as ``gather_support`` takes
            them.

    Raises:
        MedtapError: an input, option or output is refused; nothing is written then.
    """
    usual, on = use_preset(preset), choose_device(device)
    adapter, options = adapter or usual[0], options or usual[1]
    base = load_network(network)
    request = {"adapter": [adapter.name, adapter.options()], "tap": vars(options), "shots": shots, "support": support}
    inputs = [Path(folder) for folder in (images, masks) if folder is not None]
    request |= {"base_sha256": weights_sha256(base), "inputs": inputs, "size": size}
    side = input_size(size, base.size)
    drawn = gather_support(images, masks, shots=shots, seed=options.seed, size=side, **support)
    with RunFolder(out, inputs=inputs, options=request, overwrite=overwrite) as run:
        adapted = take_a_peek(base, drawn, adapter, options, on)
        write_adaptation(run, adapted, drawn)
    return adapted


def write_adaptation(run: RunFolder, adapted: AdaptedSegmenter, support: SupportSet, below: str = "") -> None:
    """Write an adapted network and ``support.png`` into a run's folder, or one below it."""
    images, masks, _ = support.pictures
    sheet = contact_sheet(images, masks, support.classes)
    with atomic_write(run.file(Path(below, CONTACT_SHEET))) as partial:
        sheet.save(partial, format="PNG")
    for name in FILES:
        run.file(Path(below, name))
    adapted.save(run.path / below)
