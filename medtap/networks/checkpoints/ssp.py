"""Backbones for SSP, whose head has no weights: torchvision's ImageNet ResNets, and SSP's own checkpoints."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule, Rules, under
from medtap.networks.checkpoints.resnet import RESNET

_DILATED: list[Rule] = [
    (r"layer0\.0\.(\d\.\w+)", (r"stem.\1",)),
    (r"layer0\.1\.(\w+)", (r"stem.7.\1",)),
    (r"(layer[1-3]\.\d\.(?:conv\d|bn\d|downsample\.[01])\.\w+)", (r"\1",)),
]

SSP: dict[str, Rules] = {
    "resnet50": [(r"layer4\..*", ()), *under("", "encoder.backbone.", RESNET)],
    "dilated-resnet50": under("", "encoder.", _DILATED),
}
"""By backbone. The first one's fourth stage is not needed; the second is that of https://github.com/fanq15/SSP."""
