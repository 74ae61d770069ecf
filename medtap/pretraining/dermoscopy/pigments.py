"""Skin and lesion as absorbing pigments.

Colour follows Beer and Lambert: the picture is exp(-absorbance) of melanin, blood and deep pigment (which looks blue):
so every skin tone and every lesion from pale pink to black comes from a few concentrations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.chance import uniform
from medtap.pretraining.cohort import Cohort
from medtap.pretraining.dermoscopy.layer import Layer, colour_near, lay
from medtap.pretraining.dermoscopy.lesion import Lesion

_ABSORBANCE = torch.tensor([[0.40, 0.72, 1.0], [0.10, 0.85, 0.70], [1.0, 0.85, 0.62]])
"""Red, green and blue absorbance of a unit of melanin, blood and deep pigment."""
_WAX, _CYST, _OPENING = [[0.72, 0.62, 0.50]], [[0.92, 0.86, 0.72]], [[0.22, 0.14, 0.10]]


def pigmented_skin(lesion: Lesion, cohort: Cohort, dark_core: bool) -> Tensor:
    """Skin and lesion [n,3,S,S] from their pigments."""
    pigments = _skin(cohort) + _stain(lesion, cohort, dark_core) + _around(lesion, cohort)
    absorbance = torch.einsum("npyx,pc->ncyx", pigments.clamp(min=0), _ABSORBANCE)
    images = cohort.between(0.8, 1.0) * (-absorbance).exp()
    return lay(images, [_regression(lesion, cohort), *_keratosis(lesion, cohort)])


def _skin(cohort: Cohort) -> Tensor:
    """Melanin, blood and deep pigment [n,3,S,S] of skin with furrows, blotches, freckles and fine vessels."""
    tone = cohort.blend(0, 1) ** 2 * 1.1 + 0.12
    furrows = _ridges(cohort, cohort.between(24, 60)) * cohort.free(0, 0.14)
    grain = cohort.noise(cohort.size / 2) * cohort.free(0, 0.05) + cohort.noise(cohort.size / 4) * cohort.free(0, 0.05)
    spots = torch.sigmoid(6 * (cohort.noise(cohort.between(10, 30)) - 1.8))
    freckles = cohort.shown(0.3) * cohort.free(0.1, 0.5) * spots
    melanin = tone * (1 + furrows + grain + cohort.free(0, 0.15) * cohort.noise(4)) + freckles
    vessels = cohort.shown(0.3) * cohort.free(0.05, 0.3) * _ridges(cohort, cohort.between(9, 24)).pow(5)
    blood = cohort.blend(0.05, 0.4) * (1 + cohort.free(0, 0.25) * cohort.noise(3) + grain + furrows) + vessels
    return torch.stack([melanin, blood, cohort.blend(0, 0.12) + 0.5 * (furrows + grain)], dim=1)


def _ridges(cohort: Cohort, cells: float) -> Tensor:
    """A net of ridges [n,S,S] in [0,1] around cells: furrows of skin, pigment network, vessels."""
    return (-(cohort.noise(cells) ** 2) * 6).exp()


def _stain(lesion: Lesion, cohort: Cohort, dark_core: bool) -> Tensor:
    """Pigments [n,3,S,S] that the lesion adds, with its structures."""
    profile, size = lesion.profile, cohort.size
    strength = cohort.blend(-1.6, 0.9).exp()
    depth = lesion.depth.clamp(-0.5, 1)
    shape = 1 + cohort.free(-0.4, 0.9) * depth + cohort.free(0, 0.45) * cohort.noise(cohort.between(2, 6))
    network = cohort.shown(0.6) * cohort.free(0.2, 0.9) * _ridges(cohort, cohort.between(size / 8, size / 4))
    globules = cohort.shown(0.5) * cohort.free(0.3, 1.2) * torch.sigmoid(8 * (cohort.noise(size / 5) - 1.3))
    blotches = cohort.shown(0.5) * cohort.free(0.3, 1.5) * torch.sigmoid(6 * (cohort.noise(5) - cohort.free(0.2, 1.3)))
    core = cohort.free(0.6, 1.6) if dark_core else cohort.shown(0.4) * cohort.free(0.3, 1.5)
    grain = cohort.free(0, 0.25) * (cohort.noise(size / 3) + cohort.noise(size / 8))
    structure = shape + grain + network + globules + blotches + core * lesion.core + _streaks(lesion, cohort)
    pale = 1 - cohort.shown(0.25) * cohort.free(0.7, 1.0)
    melanin = strength * pale * profile * structure.clamp(min=0.25)
    redness = cohort.blend(-0.15, 0.25) + (1 - pale) * cohort.free(0.2, 0.7) + 0.1 * cohort.noise(6)
    veil = cohort.shown(0.35) * cohort.free(0.2, 0.9) * torch.sigmoid(5 * (cohort.noise(3) + depth - 0.6))
    return torch.stack([melanin, redness * profile, profile * (veil + 0.25 * (melanin - 0.8).clamp(min=0))], dim=1)


def _streaks(lesion: Lesion, cohort: Cohort) -> Tensor:
    """Radial streaks [n,S,S] at the lesion's rim."""
    rays = (cohort.free(14, 40).round() * lesion.angle + 2 * cohort.noise(6)).cos().clamp(min=0)
    part = torch.sigmoid(4 * (cohort.noise(2) - cohort.free(-1, 1)))
    return cohort.shown(0.2) * cohort.free(0.3, 1.2) * part * rays * (-((lesion.depth - 0.05) ** 2) * 70).exp()


def _around(lesion: Lesion, cohort: Cohort) -> Tensor:
    """Pigments [n,3,S,S] near the lesion that do not belong to it: a red ring, satellite dots, other moles."""
    ring = torch.sigmoid((lesion.depth + cohort.free(0.1, 0.5) + 0.1 * cohort.noise(5)) / 0.12) * (1 - lesion.profile)
    near = torch.sigmoid((lesion.depth + 0.4) / 0.05) * (1 - lesion.profile)
    satellites = cohort.shown(0.25) * near * torch.sigmoid(10 * (cohort.noise(22) - 1.7))
    moles = cohort.shown(0.15) * (lesion.depth < -0.4) * torch.sigmoid(10 * (cohort.noise(5) - 2.0))
    melanin = cohort.blend(0.3, 1.5) * (satellites + moles)
    blood = cohort.shown(0.3) * cohort.free(0.1, 0.6) * ring
    return torch.stack([melanin, blood, torch.zeros_like(blood)], dim=1)


def _regression(lesion: Lesion, cohort: Cohort) -> Layer:
    """White scar-like areas within the lesion."""
    patches = torch.sigmoid(3 * (cohort.noise(4) + 0.3 * cohort.noise(24) - cohort.free(0.3, 1.3)))
    colour = torch.tensor([0.85, 0.74, 0.72]) + uniform(-0.1, 0.1, (cohort.n, 3), cohort.generator)
    return cohort.shown(0.3) * cohort.free(0.1, 0.6) * patches * lesion.profile, colour[..., None, None]


def _keratosis(lesion: Lesion, cohort: Cohort) -> list[Layer]:
    """Wax over the lesion, white milia-like cysts and dark comedo-like openings of a seborrheic keratosis."""
    shown = cohort.shown(0.25) * lesion.profile
    scale = shown * cohort.free(0.1, 0.6) * torch.sigmoid(2 * cohort.noise(cohort.between(6, 16)))
    cysts = shown * cohort.free(0.3, 0.8) * torch.sigmoid(9 * (cohort.noise(cohort.between(16, 36)) - 1.8))
    openings = shown * cohort.free(0.3, 0.8) * torch.sigmoid(9 * (cohort.noise(cohort.between(12, 30)) - 1.8))
    return [
        (scale, colour_near(_WAX, 0.12, cohort)),
        (cysts, colour_near(_CYST, 0.06, cohort)),
        (openings, colour_near(_OPENING, 0.06, cohort)),
    ]
