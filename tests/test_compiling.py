"""Compiling: in place, before any work, and refused where it cannot be done."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from medtap.compiling import compile_forward
from medtap.errors import OptionError
from medtap.inference import PlaneInferer

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Logits by brightness; counts its calls. Its ``compile`` does nothing, or leaves it broken."""

    def __init__(self, broken: str = "") -> None:
        super().__init__()
        self.broken, self.compiled, self.seen = broken, False, []

    def compile(self) -> None:
        self.compiled = True

    def forward(self, images: Tensor) -> Tensor:
        if self.broken:
            raise RuntimeError(self.broken)
        self.seen.append((self.compiled, tuple(images.shape)))
        return images[:, :2]


def test_a_plane_is_compiled_before_any_work() -> None:
    network = Brightness()
    compile_forward(network, PlaneInferer(40), CPU)
    assert network.seen == [(True, (1, 3, 40, 40))]


def test_missing_compiler_is_refused() -> None:
    message = (
        r"cannot be compiled here; found InvalidCxxCompiler: none; leave --compile out, or install a C\+\+ compiler"
    )
    with pytest.raises(OptionError, match=message):
        compile_forward(Brightness("InvalidCxxCompiler: none\n\nSet TORCH_LOGS"), PlaneInferer(40), CPU)


class Waves(nn.Module):
    """Logits that need a kernel of their own."""

    def forward(self, images: Tensor) -> Tensor:
        return (3 * images[:, :2]).sin() + images.mean()


@pytest.mark.slow
def test_compiled_network_gives_the_same_logits() -> None:
    images, inferer = torch.rand(1, 3, 40, 40), PlaneInferer(40)
    network = Waves()
    expected = inferer(images, network)
    compile_forward(network, inferer, CPU)
    torch.testing.assert_close(inferer(images, network), expected, atol=1e-4, rtol=1e-4)
