"""HSNet's published checkpoints (https://github.com/juhongm999/hsnet), and the head that PATNet and DMTNet share."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule, Rules, under
from medtap.networks.checkpoints.resnet import RESNET

_BLOCKS = {
    "encoder_layer2": "squeeze8",
    "encoder_layer3": "squeeze16",
    "encoder_layer4": "squeeze32",
    "encoder_layer4to3": "mix16",
    "encoder_layer3to2": "mix8",
}
_CONVOLUTIONS = {"conv1": "query_conv", "conv2": "support_conv"}
_DECODERS = {"decoder1": "refine", "decoder2": "classify"}

_HEAD: list[Rule] = [
    *(
        (rf"{name}\.(\d)\.{part}\.(weight|bias)", (rf"{own}.\1.{own_part}.\2",))
        for name, own in _BLOCKS.items()
        for part, own_part in _CONVOLUTIONS.items()
    ),
    *((rf"{name}\.(\d)\.(weight|bias)", (rf"{own}.\1.\2",)) for name, own in (_BLOCKS | _DECODERS).items()),
]

ON_RESNET: list[Rule] = [
    *under(r"backbone\.", "encoder.backbone.", RESNET),
    *under(r"hpn_learner\.", "head.", _HEAD),
]
"""The encoder and the head."""

HSNET: dict[str, Rules] = {"resnet50": ON_RESNET}
"""By backbone."""
