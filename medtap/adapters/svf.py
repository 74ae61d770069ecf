"""SVF, singular value fine-tuning (Sun et al., NeurIPS 2022): of every weight, only the singular values are trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_change import AttachedChange
from medtap.adapters.decomposition import decompose
from medtap.adapters.targets import choose_targets, is_linear_or_convolution


@dataclass(frozen=True)
class Svf(Adapter):
    """SVF: a weight [Co, Ci*k*k] = U diag(S) V^T, of which S is trained, U and V are frozen (section 3.2).

    Linear layers count as k = 1, and each group of a grouped or depthwise convolution is decomposed on its own. The
    weight is put together once a forward pass, which is faster than the paper's three convolutions in a row and equals
    them. What is trained is the change of S: it starts at exactly nothing, and weight decay draws S to its old values.

    Attributes:
        targets: which layers, see ``choose_targets``. The paper's, the 1x1 and 3x3 convolutions of a ResNet without its
            stem and first stage, are ``re:stages[.][123][.]`` in one of transformers.
    """

    targets: str = "all"
    name = "svf"

    def attach(self, encoder: nn.Module) -> AttachedChange:
        """Attach in place to the encoder's target layers."""
        names = choose_targets(encoder, self.targets, is_linear_or_convolution)
        changes = {f"{name}.weight": SingularValueShift.of(encoder.get_submodule(name)) for name in names}
        return AttachedChange(encoder, changes, what="SVF values")


class SingularValueShift(nn.Module):
    """A weight with other singular values: W + U diag(shift) V^T, in G groups.

    Args:
        left: U, [G,Co/G,r].
        right: V^T, [G,r,Ci/G*k*k].
    """

    left: Tensor
    right: Tensor

    def __init__(self, left: Tensor, right: Tensor) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros_like(left[:, 0]))
        self.register_buffer("left", left)
        self.register_buffer("right", right)

    @classmethod
    def of(cls, layer: nn.Module) -> SingularValueShift:
        """The one of a Linear layer or a convolution."""
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        left, _, right = decompose(layer.get_parameter("weight"), groups)
        return cls(left, right)

    def forward(self, weight: Tensor) -> Tensor:
        """Change a weight [Co,Ci] or [Co,Ci/G,k,k]."""
        return weight + ((self.left * self.shift.unsqueeze(1)) @ self.right).view_as(weight)
