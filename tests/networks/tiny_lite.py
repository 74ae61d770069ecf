"""A tiny network on EfficientNet-Lite, with the head of ``tiny_network``."""

from __future__ import annotations

import torch

from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.efficientnet_lite import EfficientNetLite, StageShape

_STAGES = [StageShape(1, 3, 1, 1, 8), *(StageShape(1, 3, 2, 2, width) for width in (8, 16, 24, 32))]


def tiny_lite(seed: int = 1) -> DenseAttentionSegmenter:
    """A network of random weights, ready to be trained."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = DenseAttentionSegmenter(EfficientNetLite([8, 8, 16, 24, 32], _STAGES), width=16)
    network.size = 64
    return network
