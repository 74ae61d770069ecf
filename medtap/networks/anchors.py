"""PATNet's anchor transform: features mapped so that class prototypes fall on learnt anchor vectors.

A transform maps features [C,h,w] by the C x C matrix R^T (C^+)^T, where the rows of C are the unit prototypes of
background and foreground, those of R the unit anchors, and C^+ is the pseudo-inverse (Lei et al., ECCV 2022). So what
is transformed lies in the plane of the anchors, and is kept here as two coordinates a place instead of C channels:
its products and lengths follow from the anchors' Gram matrix R R^T.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPS = 1e-6
_LEAST_SQUARE = 1e-12  # where two unit prototypes differ by less than this squared, in float32 they are one
_LEAST_LENGTH = 1e-20  # squared; the gradient of a length ends here


def masked_prototypes(features: Tensor, masks: Tensor) -> Tensor:
    """Mean features outside and inside of soft masks, in single precision: two that are near are told apart by more.

    Args:
        features: [...,C,h,w].
        masks: [...,1,h,w] in [0,1].

    Returns:
        [...,2,C], background first; 0 where a mask leaves no pixel.
    """
    weights = torch.cat([1 - masks, masks], dim=-3).float()
    with torch.autocast(features.device.type, enabled=False):
        sums = torch.einsum("...chw,...phw->...pc", features.float(), weights)
    return sums / (weights.sum((-2, -1)).unsqueeze(-1) + _EPS)


def unit_rows(vectors: Tensor) -> Tensor:
    """Divide vectors [...,C] by their lengths; vectors of length 0 stay 0."""
    return vectors / (vectors.norm(dim=-1, keepdim=True) + _EPS)


def dual_rows(prototypes: Tensor) -> Tensor:
    """The transposed pseudo-inverse of two unit prototypes, by Gram-Schmidt: it has a gradient and exports to ONNX.

    Args:
        prototypes: [...,2,C] of any length.

    Returns:
        [...,2,C]; row i has product 1 with unit prototype i and 0 with the other. The row of a prototype of 0 is 0, and
        so is the second of two equal ones.
    """
    first, second = unit_rows(prototypes).unbind(-2)
    square = (first * first).sum(-1, keepdim=True) + _LEAST_LENGTH
    shared = (first * second).sum(-1, keepdim=True) / square
    rest = second - shared * first
    rest = rest - (first * rest).sum(-1, keepdim=True) / square * first  # what rounding left of the first, in float32
    apart = (rest * rest).sum(-1, keepdim=True)
    dual_second = rest * torch.where(apart > _LEAST_SQUARE, 1 / apart.clamp_min(_LEAST_SQUARE), 0)
    return torch.stack([first / square - shared * dual_second, dual_second], dim=-2)


def coordinates(duals: Tensor, features: Tensor) -> Tensor:
    """Coordinates [...,2,h,w] of transformed features [...,C,h,w] in the anchors, by dual rows [...,2,C]."""
    return (duals @ features.flatten(-2)).unflatten(-1, features.shape[-2:])


def gram_matrix(anchors: Tensor) -> Tensor:
    """Products [A,A] of A unit anchors, of anchors [A,C]."""
    rows = unit_rows(anchors)
    return rows @ rows.T


def lowered(places: Tensor, gram: Tensor) -> Tensor:
    """Products [...,A,h,w] of features with each anchor, from their coordinates [...,A,h,w] and the Gram matrix."""
    return (gram @ places.flatten(-2)).unflatten(-1, places.shape[-2:])


def unit_coordinates(places: Tensor, gram: Tensor, eps: float = 1e-5) -> Tensor:
    """Divide coordinates [...,A,h,w] by the length of the features that they stand for; 0 stays 0."""
    square = (places * lowered(places, gram)).sum(-3, keepdim=True)
    return places / (square.clamp_min(_LEAST_LENGTH).sqrt() + eps)
