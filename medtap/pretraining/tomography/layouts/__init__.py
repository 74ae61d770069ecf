"""Tables of where organs lie in slices of the body."""

from __future__ import annotations

from medtap.pretraining.tomography.layouts.organ import Organ
from medtap.pretraining.tomography.layouts.regions import HEAD_AXIAL, HEART, KNEE, SPINE_SAGITTAL
from medtap.pretraining.tomography.layouts.trunk import ABDOMEN, CHEST, CORONAL, PELVIS

__all__ = ["LAYOUTS", "Organ"]

LAYOUTS = (ABDOMEN, ABDOMEN, CHEST, PELVIS, CORONAL, HEAD_AXIAL, HEAD_AXIAL[4:], KNEE, HEART, SPINE_SAGITTAL)
"""Every layout a task may show, some of them twice."""
