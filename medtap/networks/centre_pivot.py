"""Centre-pivot 4D convolution (Min et al., ICCV 2021): one convolution over query and one over support places."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

_GROUPS = 4


class CentrePivotConv4d(nn.Module):
    """A 4D convolution whose kernel is zero but where its query or its support offset is the centre.

    Args:
        in_channels: of the 4D tensor given.
        out_channels: of the one returned.
        kernel: side k of both 2D kernels, odd.
        stride: over support places; query places keep their resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.query_conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.support_conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)

    def forward(self, tensor: Tensor) -> Tensor:
        """Convolve [P,C,h,w,h',w'] into [P,C',h,w,ceil(h'/stride),ceil(w'/stride)]."""
        kept = tensor[..., :: self.stride, :: self.stride]
        return self._over_query(kept) + self._over_support(tensor)

    def _over_query(self, tensor: Tensor) -> Tensor:
        planes = tensor.permute(0, 4, 5, 1, 2, 3)
        convolved = self.query_conv(planes.flatten(0, 2))
        return convolved.unflatten(0, planes.shape[:3]).permute(0, 3, 4, 5, 1, 2)

    def _over_support(self, tensor: Tensor) -> Tensor:
        planes = tensor.permute(0, 2, 3, 1, 4, 5)
        convolved = self.support_conv(planes.flatten(0, 2))
        return convolved.unflatten(0, planes.shape[:3]).permute(0, 3, 1, 2, 4, 5)


class CentrePivotBlock(nn.Sequential):
    """Centre-pivot convolutions, each with group normalisation and ReLU: [P,C,h,w,h',w'] -> [P,C',h,w,h'',w''].

    Args:
        in_channels: of the 4D tensor given.
        channels: of each convolution's output, multiples of 4.
        kernels: each convolution's kernel side.
        strides: each convolution's stride over support places.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]
    ) -> None:
        inputs = (in_channels, *channels[:-1])
        layers: list[nn.Module] = []
        for given, out, kernel, stride in zip(inputs, channels, kernels, strides, strict=True):
            layers += [CentrePivotConv4d(given, out, kernel, stride), nn.GroupNorm(_GROUPS, out), nn.ReLU()]
        super().__init__(*layers)
