"""DCAMA's published checkpoints (https://github.com/pawn-sxy/DCAMA)."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule, Rules, under
from medtap.networks.checkpoints.resnet import RESNET
from medtap.networks.checkpoints.swin import SWIN

_DECODER = {
    "conv3": "levels.0",
    "conv2": "levels.1",
    "conv1": "levels.2",
    "conv4": "merge16",
    "conv5": "merge8",
    "mixer1": "mix4",
    "mixer2": "mix2",
    "mixer3": "mix1",
}

_HEAD: list[Rule] = [
    (r"model\.DCAMA_blocks\.(\d)\.linears\.0\.(weight|bias)", (r"attention.\1.query.\2",)),
    (r"model\.DCAMA_blocks\.(\d)\.linears\.1\.(weight|bias)", (r"attention.\1.key.\2",)),
    (r"model\.pe\.\d\.pe", ()),
    *((rf"model\.{name}\.(\d\.(?:weight|bias))", (rf"decoder.{own}.\1",)) for name, own in _DECODER.items()),
]

DCAMA: dict[str, Rules] = {
    "swin-b": [*under(r"feature_extractor\.", "encoder.backbone.", SWIN), *_HEAD],
    "resnet50": [*under(r"feature_extractor\.", "encoder.backbone.", RESNET), *_HEAD],
}
"""By backbone. Position tables are computed here, so that images may be of any size."""
