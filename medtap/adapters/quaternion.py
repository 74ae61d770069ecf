"""Quaternion-linear maps: four channel groups mixed by the Hamilton product (Parcollet et al., ICLR 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


def hamilton_matrix(parts: Tensor) -> Tensor:
    """The matrix W [V,V] of a quaternion-linear map: x W is the Hamilton product of the parts and x, in this order.

    Args:
        parts: r, i, j and k as [4,V/4,V/4].
    """
    r, i, j, k = parts.unbind()
    rows = [[r, i, j, k], [-i, r, k, -j], [-j, -k, r, i], [-k, j, -i, r]]
    return torch.cat([torch.cat(row, dim=1) for row in rows])
