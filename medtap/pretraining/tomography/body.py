"""Slices through the body as a scanner shows them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick
from medtap.pretraining.camera import chance
from medtap.pretraining.synthetic import Task
from medtap.pretraining.tomography.atlas import Atlas, draw_atlas
from medtap.pretraining.tomography.ct import computed_tomography
from medtap.pretraining.tomography.layouts import LAYOUTS
from medtap.pretraining.tomography.mr import magnetic_resonance
from medtap.pretraining.tomography.sonography import fan, ultrasound
from medtap.pretraining.tomography.stretch import stretch
from medtap.pretraining.tomography.tissues import TISSUES

_LEAST_SHARE = 0.006
_MODALITIES = (*(computed_tomography,) * 4, *(magnetic_resonance,) * 4, ultrasound)
_NEVER = ("air", "table", "skin")


def body_slices(n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw slices of abdomen, chest, pelvis, head, heart or knee as CT, MR or ultrasound show them.

    The class is any organ, vessel, bone, tissue or lesion that every patient shows. Imitates the archives of organ and
    tumour segmentation challenges; layouts are aligned as patients are and deformed smoothly.

    Args:
        n: number of pictures (patients).
        size: side S in pixels.
        generator: source of chance.
        lacking: the last so many pictures do not show the class: what encloses it takes its place.

    Returns:
        Images [n,3,S,S] in [0,1] and masks [n,S,S] of the class.
    """
    grid = min(size, pick(48, 128, generator)) if chance(0.35, generator) else min(size, 192)
    atlas = draw_atlas(n, grid, LAYOUTS[pick(0, len(LAYOUTS) - 1, generator)], generator)
    modality = _MODALITIES[pick(0, len(_MODALITIES) - 1, generator)]
    if TISSUES.index("grey matter") in atlas.tissues and chance(0.8, generator):
        modality = magnetic_resonance
    if modality is ultrasound:
        atlas = atlas._replace(labels=atlas.labels * fan(grid, generator))
    target = _draw_target(atlas, generator)
    atlas.labels[n - lacking :] = _filler(target.tolist(), atlas.parents)[atlas.labels[n - lacking :]]
    masks = torch.isin(atlas.labels, target).float()
    images = modality(atlas.labels, atlas.tissues, generator)
    images = 1 - images if chance(0.06, generator) else images
    images, masks = stretch(images, masks, size)
    return images.clamp(0, 1), masks


def _draw_target(atlas: Atlas, generator: Generator) -> Tensor:
    """Labels of an organ with or without what lies inside it, or of a whole tissue, which every patient shows."""
    labels, groups = atlas.labels, _candidates(atlas)
    counts = F.one_hot(labels[:, ::2, ::2].flatten(1), len(atlas.tissues)).float().mean(1)
    shares = torch.stack([counts[:, group].sum(1) for group in groups])
    least, most = shares.amin(1), shares.amax(1)
    weights = ((least > _LEAST_SHARE) & (most < 0.9)).float() / (0.1 + most) + 1e-9 * least
    return groups[int(torch.multinomial(weights, 1, generator=generator))]


def _filler(target: list[int], parents: list[int]) -> Tensor:
    """For each label itself, but for a target's the innermost label around it that is none."""
    filler = list(range(len(parents)))
    for label in sorted(target):
        filler[label] = filler[parents[label]]
    return torch.tensor(filler)


def _candidates(atlas: Atlas) -> list[Tensor]:
    """Groups of labels that may be the class: each alone, its tissue, it with what it encloses, a lesion with core."""
    tissues = atlas.tissues
    shown = [label for label in range(1, len(tissues)) if TISSUES[int(tissues[label])] not in _NEVER]
    groups = [torch.tensor([label]) for label in shown]
    groups += [torch.nonzero(tissues == tissues[label])[:, 0] for label in shown]
    groups += [torch.tensor(enclosed(label, atlas.parents)) for label in shown]
    if TISSUES[int(tissues[-1])] == "core":
        groups += [torch.tensor([len(tissues) - 2, len(tissues) - 1])] * (len(shown) // 2)
    return groups


def enclosed(label: int, parents: list[int]) -> list[int]:
    """A label and all that lie within it; a parent comes before its children."""
    family = [label]
    for child in range(label + 1, len(parents)):
        if parents[child] in family:
            family.append(child)
    return family
