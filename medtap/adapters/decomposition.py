"""Singular value decompositions of a layer's weight, kept for the next time that the same weight is decomposed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor

KEPT_BYTES = 512 << 20
_kept: OrderedDict[tuple[str, int], Decomposition] = OrderedDict()


class Decomposition(NamedTuple):
    """A weight [Co,Ci/G,k,k] in G groups as matrices [Co/G, Ci/G*k*k] = left @ diag(values) @ right, of rank r.

    Attributes:
        left: orthonormal columns [G,Co/G,r].
        values: singular values [G,r], largest first.
        right: orthonormal rows [G,r,Ci/G*k*k].
    """

    left: Tensor
    values: Tensor
    right: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of the three tensors."""
        return sum(part.nbytes for part in self)


def decompose(weight: Tensor, groups: int = 1) -> Decomposition:
    """Decompose the weight of a Linear layer or a convolution, in double precision on the CPU.

    Args:
        weight: [Co,Ci] or [Co,Ci/G,k,k].
        groups: G, decomposed each on its own.

    Returns:
        Tensors of the weight's type and on its device.
    """
    held = weight.detach().cpu().contiguous()
    key = (_sha256(held), groups)
    if key not in _kept:
        _keep(key, _decomposed(held, groups))
    _kept.move_to_end(key)
    return Decomposition(*(part.to(weight.device) for part in _kept[key]))


def _sha256(held: Tensor) -> str:
    digest = hashlib.sha256(f"{held.dtype} {tuple(held.shape)}".encode())
    digest.update(held.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _decomposed(held: Tensor, groups: int) -> Decomposition:
    matrices = held.reshape(groups, held.shape[0] // groups, -1).double()
    return Decomposition(*(part.to(held.dtype) for part in torch.linalg.svd(matrices, full_matrices=False)))


def _keep(key: tuple[str, int], made: Decomposition) -> None:
    """Keep a decomposition in place of the longest unused ones; one above the bound on its own is kept alone."""
    _kept[key] = made
    while len(_kept) > 1 and sum(each.nbytes for each in _kept.values()) > KEPT_BYTES:
        _kept.popitem(last=False)
