"""A dermoscopic picture: skin with a lesion, what lies on it, what the device makes of it."""

from __future__ import annotations

import torch
from torch import Generator

from medtap.chance import pick
from medtap.pretraining.camera import between, chance
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.dermoscopy.artefacts import (
    draw_frame,
    draw_pen,
    draw_reflections,
    draw_ruler,
    draw_sticker,
    draw_text,
)
from medtap.pretraining.dermoscopy.dermatoscope import focus, light, record
from medtap.pretraining.dermoscopy.hairs import draw_hairs
from medtap.pretraining.dermoscopy.layer import lay
from medtap.pretraining.dermoscopy.lesion import place_lesion
from medtap.pretraining.dermoscopy.pigments import pigmented_skin
from medtap.pretraining.dermoscopy.targets import TARGETS, masks_of
from medtap.pretraining.scenes import coordinates
from medtap.pretraining.synthetic import Task


def dermoscopic_lesions(n: int, size: int, generator: Generator) -> Task:
    """Draw dermoscopy of a pigmented lesion; imitates archives such as ISIC, HAM10000 and PH2.

    The target is most often the whole lesion with its fading border, otherwise its dark part, the hairs, the stickers
    or the black frame of the same picture. Half of the tasks are of an archive, to which many clinics, devices and
    experts gave, each with an own idea of the border; in the others patients, pictures and masks are more alike.

    Args:
        n: number of pictures.
        size: side S in pixels.
        generator: source of chance.

    Returns:
        Images [n,3,S,S] in [0,1] and masks [n,S,S] of the target.
    """
    archive = chance(0.5, generator)
    cohort = Cohort(n, size, between(0.85 if archive else 0.15, 1.0, generator), generator)
    target = TARGETS[pick(0, len(TARGETS) - 1, generator)]
    plane = coordinates(size)[None] * torch.tensor([1.0, cohort.between(0.75, 1.4)]).view(1, 2, 1, 1)
    lesion = place_lesion(plane, cohort)
    images = light(lay(pigmented_skin(lesion, cohort, target == "core"), [draw_pen(lesion, cohort)]), plane, cohort)
    hairs = draw_hairs(cohort, always=target == "hairs")
    sticker = draw_sticker(cohort, always=target == "sticker")
    frame = draw_frame(plane, cohort, always=target == "frame")
    images = lay(images, [hairs, draw_reflections(cohort), draw_ruler(cohort), sticker])
    images = record(lay(focus(images, cohort), [frame, draw_text(cohort)]), cohort)
    return images, masks_of(lesion, hairs[0], sticker[0], frame[0], cohort)[target].float()
