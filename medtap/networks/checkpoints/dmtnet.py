"""DMTNet's published checkpoints (https://github.com/ChenJiayi68/DMTNet)."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rules
from medtap.networks.checkpoints.patnet import PATNET, anchor_rules

DMTNET: dict[str, Rules] = {"resnet50": [*PATNET["resnet50"], *anchor_rules("query_anchors", 4)]}
"""By backbone."""
