"""Backbones for dense affinities, which have no weights of their own: ImageNet ResNets with torchvision's names."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rules, under
from medtap.networks.checkpoints.resnet import RESNET

AFFINITY: dict[str, Rules] = {"resnet50": under("", "encoder.backbone.", RESNET)}
"""By backbone."""
