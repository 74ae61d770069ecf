"""Tiny Vision Transformers and Swins of random weights, and what tests of their adapters share."""

from __future__ import annotations

import torch
from torch import Generator, nn
from transformers import (
    Dinov2WithRegistersBackbone,
    Dinov2WithRegistersConfig,
    SamVisionConfig,
    SwinBackbone,
    SwinConfig,
)
from transformers.models.sam.modeling_sam import SamVisionEncoder

from medtap.adapters import AttachedAdapter


def tiny_vit() -> nn.Module:
    """DINOv2, 2 blocks of 16 channels, patches of 8 x 8, a class token and 2 registers before the others."""
    config = Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=8, image_size=32, num_register_tokens=2
    )
    return still(Dinov2WithRegistersBackbone, config)


def tiny_swin() -> nn.Module:
    """Two stages of 2 blocks, from 8 channels, patches of 4 x 4, windows of 4 x 4 tokens."""
    config = SwinConfig(
        embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4, image_size=32, out_features=["stage1", "stage2"]
    )
    return still(SwinBackbone, config)


def tiny_sam() -> nn.Module:
    """SAM's encoder: a block of windows of 3 x 3 and one of the whole grid, merged projections (``qkv``)."""
    config = SamVisionConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        window_size=3,
        global_attn_indexes=[1],
        mlp_dim=32,
        output_channels=8,
    )
    return still(SamVisionEncoder, config)


def still(kind: type[nn.Module], config: object) -> nn.Module:
    """A network of a fixed seed in evaluation, every parameter different from its usual start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return network.eval()


@torch.no_grad()
def give_values(attached: AttachedAdapter, seed: int = 0, scale: float = 0.3) -> None:
    """Give every value of an adapter one that changes what the encoder computes."""
    generator = Generator().manual_seed(seed)
    for parameter in attached.parameters():
        parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
