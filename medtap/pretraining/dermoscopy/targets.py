"""What a task of dermoscopy asks for, and its masks."""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.annotators import by_places
from medtap.chance import pick
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.dermoscopy.dermatoscope import blurred
from medtap.pretraining.dermoscopy.lesion import Lesion

TARGETS = ("lesion",) * 12 + ("core", "hairs", "sticker", "frame")


def masks_of(lesion: Lesion, hairs: Tensor, sticker: Tensor, frame: Tensor, cohort: Cohort) -> dict[str, Tensor]:
    """The mask [n,S,S] of each target, from what may be seen of it; the last three maps are opacities."""
    seen = frame < 0.5
    return {
        "lesion": _annotated(lesion.extent, cohort) & seen & (sticker < 0.5),
        "core": (lesion.core > 0.5) & seen & (sticker < 0.5),
        "hairs": (hairs > 0.3) & seen & (sticker < 0.5),
        "sticker": (sticker > 0.5) & seen,
        "frame": ~seen,
    }


def _annotated(extent: Tensor, cohort: Cohort) -> Tensor:
    """An expert's mask [n,S,S]: smooth and generous; traced, brushed or a polygon."""
    level = (cohort.blend(0.12, 0.5) + cohort.free(-0.06, 0.06)).clamp(0.06, 0.6)
    brushed = blurred(extent, cohort.between(0.6, 2.5) * cohort.size / 128)
    polygons = by_places(extent, pick(14, 36, cohort.generator))
    styles = torch.stack([extent, brushed, polygons])
    return cohort.either(styles) > level
