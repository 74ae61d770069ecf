"""A frontal chest radiograph: absorption of the parts of a thorax, summed and shown through a film curve."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.chance import pick
from medtap.pretraining.camera import between
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.bones import bones
from medtap.pretraining.radiograph.devices import devices
from medtap.pretraining.radiograph.film import develop, exposed_field
from medtap.pretraining.radiograph.findings import findings
from medtap.pretraining.radiograph.frame import Frame, place_patients
from medtap.pretraining.radiograph.soft_tissue import soft_tissue
from medtap.pretraining.radiograph.thorax import Thorax, outline_thorax
from medtap.pretraining.synthetic import Task

_TARGETS = ("lungs",) * 13 + ("right lung", "left lung", "heart", "heart", "clavicles", "mediastinum", "thorax")


def chest_radiographs(n: int, size: int, generator: Generator) -> Task:
    """Draw n frontal chest radiographs of one archive (imitates JSRT, Montgomery, Shenzhen and bedside pictures).

    The target is most often both lung fields as public sets draw them: without heart, mediastinum and what lies behind
    the diaphragm. Opacities, effusions, bones and devices lie over the lungs and leave the mask as it is.

    Args:
        n: number of patients.
        size: side S in pixels.
        generator: source of chance.

    Returns:
        images [n,3,S,S] in [0,1] and masks [n,S,S] of the target.
    """
    cohort = Cohort(n, size, between(0.06, 0.3, generator), generator)
    frame = place_patients(cohort)
    thorax = outline_thorax(frame, cohort)
    target = _TARGETS[pick(0, len(_TARGETS) - 1, generator)]
    absorption = soft_tissue(frame, thorax, cohort) + bones(frame, thorax, cohort) + findings(frame, thorax, cohort)
    exposed = exposed_field(cohort)
    images = develop(absorption + devices(frame, cohort), exposed, cohort)
    return images, _mask(target, frame, thorax) * exposed


def _mask(target: str, frame: Frame, thorax: Thorax) -> Tensor:
    """The mask [n,S,S] of a target by name."""
    above = torch.minimum(thorax.cage, thorax.chest)
    depths = {
        "lungs": thorax.lungs,
        "right lung": torch.minimum(thorax.lungs, -frame.x),
        "left lung": torch.minimum(thorax.lungs, frame.x),
        "heart": thorax.heart,
        "clavicles": thorax.clavicles,
        "mediastinum": torch.minimum(above, torch.maximum(-thorax.lateral, thorax.heart)),
        "thorax": above,
    }
    return (depths[target] > 0).float()
