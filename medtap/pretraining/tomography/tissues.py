"""Tissues by name."""

from __future__ import annotations

from torch import Generator, Tensor

from medtap.chance import uniform
from medtap.pretraining.camera import between

HOUNSFIELD = {
    "air": -1000, "table": 100, "skin": 20, "fat": -95, "muscle": 50, "cortical": 800, "marrow": 220, "fluid": 8,
    "blood": 42, "bowel": 35, "gas": -900, "liver": 58, "spleen": 48, "stomach": 20, "pancreas": 40, "kidney": 33,
    "lung": -820, "myocardium": 45, "prostate": 38, "grey matter": 38, "white matter": 29, "cartilage": 70,
    "tendon": 90, "lesion": 30, "core": 15,
}  # fmt: skip
"""Radiodensity of each tissue in Hounsfield units; lesions and air are tissues here."""

TISSUES = tuple(HOUNSFIELD)
"""The tissues in the order of their indices."""


def random_tones(
    usual: tuple[float, float], dark: tuple[float, float], dark_tissues: tuple[str, ...], generator: Generator
) -> Tensor:
    """A tone for every tissue [len(TISSUES)], uniform in a usual range or, for these tissues, in a dark one."""
    tones = uniform(*usual, (len(TISSUES),), generator)
    for name in dark_tissues:
        tones[TISSUES.index(name)] = between(*dark, generator)
    return tones


def look_up(labels: Tensor, tones: Tensor) -> Tensor:
    """Each label's tone, [n,1,S,S] from labels [n,S,S] and tones [n,L]."""
    return tones.gather(1, labels.flatten(1)).view(len(labels), 1, *labels.shape[1:])
