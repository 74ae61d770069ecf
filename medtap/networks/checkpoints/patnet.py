"""PATNet's published checkpoints (https://github.com/slei109/PATNet)."""

from __future__ import annotations

from medtap.networks.checkpoints.hsnet import ON_RESNET
from medtap.networks.checkpoints.layout import Rule, Rules


def anchor_rules(own: str, first: int) -> list[Rule]:
    """Where the anchors of three stages are, numbered from ``first``; their biases take no part in the prediction."""
    weights = [(rf"reference_layer{first + stage}\.weight", (f"{own}.{stage}",)) for stage in range(3)]
    return [*weights, *((rf"reference_layer{first + stage}\.bias", ()) for stage in range(3))]


PATNET: dict[str, Rules] = {"resnet50": [*ON_RESNET, *anchor_rules("anchors", 1)]}
"""By backbone."""
