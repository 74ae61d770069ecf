"""Grids: the rows and columns that the tokens of a layer lie on, told by the encoder while it runs.

A Vision Transformer's tokens lie on its patches, so the height and width of the image and of a patch tell the grid.
Swin tells its layers the rows and columns; its attention sees one window at a time, so that the grid there is the
window, and each window counts as an image of its own. SAM's windows come as [B,h,w,C] and need no grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from medtap.errors import OptionError


class TokenGrid:
    """A grid of which nothing is known.

    Attributes:
        size: rows and columns, of the last time that the encoder ran; None while nothing has told them.
    """

    size: tuple[int, int] | None = None

    def see(self, part: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        """The forward pre-hook of the part of the encoder that tells the grid."""


class PatchGrid(TokenGrid):
    """The grid of an image [B,3,H,W] cut into patches, told by the part that is given the image.

    Args:
        patch: height and width of a patch in pixels.
    """

    def __init__(self, patch: tuple[int, ...]) -> None:
        self.patch = patch

    def see(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Count the whole patches."""
        image = next(value for value in (*inputs, *named.values()) if isinstance(value, Tensor))
        self.size = int(image.shape[-2]) // self.patch[0], int(image.shape[-1]) // self.patch[1]


class WindowGrid(TokenGrid):
    """The grid of one window of Swin's attention, fed [B*windows,side*side,C]: square, whatever the image is."""

    def see(self, _: nn.Module, inputs: tuple[Any, ...], __: dict[str, Any]) -> None:
        """Take the side from the tokens."""
        side = math.isqrt(int(inputs[0].shape[1]))
        self.size = side, side


class SwinGrid(TokenGrid):
    """The grid that a layer of Swin is told beside its tokens."""

    def see(self, _: nn.Module, inputs: tuple[Any, ...], __: dict[str, Any]) -> None:
        """Take the rows and columns."""
        self.size = int(inputs[1][0]), int(inputs[1][1])


class MergedGrid(TokenGrid):
    """The grid after Swin has merged its patches two by two, an odd row or column with padding."""

    def see(self, _: nn.Module, inputs: tuple[Any, ...], __: dict[str, Any]) -> None:
        """Halve the rows and columns."""
        self.size = (int(inputs[1][0]) + 1) // 2, (int(inputs[1][1]) + 1) // 2


_SWIN: dict[str, type[TokenGrid]] = {
    "SwinAttention": WindowGrid,
    "SwinLayer": SwinGrid,
    "SwinPatchMerging": MergedGrid,
}
"""By the name of a class of transformers, whose import takes seconds."""


def follow_grids(encoder: nn.Module, layers: Iterable[str]) -> tuple[dict[str, TokenGrid], list[RemovableHandle]]:
    """Follow the grids of layers' tokens from now on.

    Args:
        encoder: of any kind; where it is neither Swin nor cut into patches, the grids stay unknown.
        layers: names of layers of it.

    Returns:
        The grid of each layer, and the hooks in the encoder that tell them.
    """
    grids: dict[str, TokenGrid] = {}
    told: dict[str, TokenGrid] = {}
    for layer in layers:
        part, grid = _teller(encoder, layer)
        grids[layer] = told.setdefault(part, grid)
    hooks = [
        encoder.get_submodule(part).register_forward_pre_hook(grid.see, with_kwargs=True) for part, grid in told.items()
    ]
    return grids, hooks


def _teller(encoder: nn.Module, layer: str) -> tuple[str, TokenGrid]:
    """The part of the encoder that tells a layer's grid.

    It is the innermost part of Swin around the layer, or the innermost around both the layer and the convolution that
    cuts the image into patches. That part has weights to train and so is run for every image, see `medtap.frozen`.
    """
    for part in _around(layer):
        kind = _SWIN.get(type(encoder.get_submodule(part)).__name__)
        if kind is not None:
            return part, kind()
    for name, convolution in encoder.named_modules():
        if isinstance(convolution, nn.Conv2d) and convolution.kernel_size == convolution.stride != (1, 1):
            part = next(part for part in _around(layer) if not part or name.startswith(f"{part}."))
            return part, PatchGrid(convolution.stride)
    return "", TokenGrid()


def _around(layer: str) -> Iterator[str]:
    """Names of the parts that a layer lies in, innermost first."""
    while layer:
        layer = layer.rpartition(".")[0]
        yield layer


def map_of_tokens(tokens: Tensor, grid: TokenGrid) -> Tensor:
    """Lay tokens [B,N,C] out as maps [B,C,h,w], but for those before the grid's, such as a class token.

    Raises:
        OptionError: nothing tells the grid, or the tokens do not fill it.
    """
    if grid.size is None:
        raise OptionError(
            "it is not known what grid the tokens of a layer lie on",
            expected="Swin, or a Vision Transformer that cuts the image into patches",
            remedy="name other targets, or another method",
        )
    rows, columns = grid.size
    if int(tokens.shape[1]) < rows * columns:
        found = f"{int(tokens.shape[1])} tokens"
        raise OptionError("the tokens of a layer do not fill their grid", expected=f"{rows} x {columns}", found=found)
    return tokens[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))


def tokens_of_map(maps: Tensor, count: int) -> Tensor:
    """Bring maps [B,C,h,w] back to so many tokens [B,count,C]; those before the grid's are zero."""
    tokens = maps.flatten(2).transpose(1, 2)
    return F.pad(tokens, (0, 0, count - tokens.shape[1], 0))
