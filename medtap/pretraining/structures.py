"""Tasks of thin or layered structures and of small objects, taken by devices of every kind."""

from __future__ import annotations

from torch import Generator

from medtap.chance import pick
from medtap.pretraining import thin
from medtap.pretraining.camera import acquire
from medtap.pretraining.cells import cells
from medtap.pretraining.endoscopy import polyps
from medtap.pretraining.layers import layers
from medtap.pretraining.synthetic import Task

_THIN = (thin.retina, thin.angiogram, thin.fibres, thin.cracks, thin.wires, layers)


def thin_structures(n: int, size: int, generator: Generator) -> Task:
    """Draw n pictures [n,3,S,S] in [0,1] of a thin or layered structure and its masks [n,S,S].

    Imitates fundus photographs, X-ray angiograms, microscopy of nerve fibres, cracks, wires and catheters, and optical
    coherence tomography.
    """
    images, masks = _THIN[pick(0, len(_THIN) - 1, generator)](n, size, generator)
    return acquire(images, generator), masks


def small_objects(n: int, size: int, generator: Generator) -> Task:
    """Draw n pictures [n,3,S,S] in [0,1] of cells, colonies or polyps and the masks [n,S,S] of one kind of them.

    Imitates histology, fluorescence and phase-contrast microscopy, blood smears, agar plates and endoscopy.
    """
    scene = polyps if pick(0, 2, generator) == 0 else cells
    images, masks = scene(n, size, generator)
    return acquire(images, generator), masks
