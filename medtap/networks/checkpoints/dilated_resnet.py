"""Dilated ResNets with PSPNet's names: torchvision's, but for the stem."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule

DILATED_RESNET: list[Rule] = [
    (r"layer0\.(\d\.\w+)", (r"stem.\1",)),
    (r"(layer[1-4]\.\d\.(?:conv\d|bn\d|downsample\.[01])\.\w+)", (r"\1",)),
]
"""Of bottlenecks."""
