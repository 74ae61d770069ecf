"""Backbones for SSP, which has no weights of its own: ImageNet ResNets with torchvision's names."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rules, under
from medtap.networks.checkpoints.resnet import RESNET

SSP: dict[str, Rules] = {"resnet50": [(r"layer4\..*", ()), *under("", "encoder.backbone.", RESNET)]}
"""By backbone. The fourth stage is not needed."""
