"""The centre-pivot 4D convolution."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.networks.centre_pivot import CentrePivotBlock, CentrePivotConv4d


def sparse_kernel(convolution: CentrePivotConv4d) -> Tensor:
    """The 4D kernel [C',C,k,k,k,k]: 0 but where the query offset or the support offset is the centre."""
    query, support = convolution.query_conv.weight, convolution.support_conv.weight
    side = query.shape[-1]
    kernel = torch.zeros((*query.shape, side, side))
    kernel[..., side // 2, side // 2] += query
    kernel[:, :, side // 2, side // 2] += support
    return kernel


def convolve_4d(tensor: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """A 4D convolution as a loop over the kernel's offsets; support places are strided."""
    side = kernel.shape[-1]
    padded = F.pad(tensor, [side // 2] * 8)
    sizes = tensor.shape[2:]
    total = torch.zeros(())
    for offsets in itertools.product(range(side), repeat=4):
        steps = (1, 1, stride, stride)
        window = [slice(o, o + size, step) for o, size, step in zip(offsets, sizes, steps, strict=True)]
        total = total + torch.einsum("oi,pihwvz->pohwvz", kernel[(..., *offsets)], padded[(..., *window)])
    return total


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (5, 4)])
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (5, 2, 8, 4)])
def test_it_is_a_4d_convolution_with_a_sparse_kernel(kernel: int, stride: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    convolution, tensor = CentrePivotConv4d(2, 3, kernel, stride), torch.randn(2, 2, *shape)
    biases = convolution.query_conv.bias + convolution.support_conv.bias
    expected = convolve_4d(tensor, sparse_kernel(convolution), stride) + biases.view(3, 1, 1, 1, 1)
    torch.testing.assert_close(convolution(tensor), expected, atol=1e-5, rtol=1e-4)


def test_one_place_and_one_channel_by_hand() -> None:
    convolution = CentrePivotConv4d(1, 1, 3)
    for parameter, value in zip(convolution.parameters(), (2.0, 0.5, 3.0, 0.25), strict=True):
        torch.nn.init.constant_(parameter, value)
    result = convolution(torch.full((1, 1, 1, 1, 1, 1), 10.0))
    assert result.item() == pytest.approx(2 * 10 + 0.5 + 3 * 10 + 0.25)


@torch.no_grad()
def test_a_block_normalises_groups_over_all_places_and_rectifies() -> None:
    torch.manual_seed(0)
    block, tensor = CentrePivotBlock(2, (4, 8), (3, 3), (2, 1)), torch.randn(1, 2, 4, 5, 6, 7)
    expected = tensor
    for convolution, norm in ((block[0], block[1]), (block[3], block[4])):
        groups = convolution(expected).reshape(4, -1)
        scaled = (groups - groups.mean(1, keepdim=True)) / (groups.var(1, correction=0, keepdim=True) + norm.eps).sqrt()
        expected = scaled.view(convolution(expected).shape).clamp(min=0)
    assert expected.shape == (1, 8, 4, 5, 3, 4)
    torch.testing.assert_close(block(tensor), expected, atol=1e-5, rtol=1e-4)
