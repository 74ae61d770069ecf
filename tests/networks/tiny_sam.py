"""A SAM small enough for tests: 64 px, an 8 x 8 grid in windows of 4, two blocks, the second one global."""

from __future__ import annotations

import torch
from torch import Generator
from transformers import SamConfig, SamModel

from medtap.networks.sam import SamSegmenter


def tiny_sam_config() -> SamConfig:
    """Of 16 channels in the vision encoder and 32 in the decoder."""
    vision = {"hidden_size": 16, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 64, "patch_size": 8, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16}
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def tiny_sam_model(seed: int = 0) -> SamModel:
    """Transformers' model, every weight away from its usual start (zero, for much of SAM)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SamModel(tiny_sam_config()).eval()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        model.shared_image_embedding.positional_embedding.normal_(generator=generator)
    return model


def tiny_sam(classes: int = 0, seed: int = 0) -> SamSegmenter:
    """The network, frozen, in evaluation."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SamSegmenter(tiny_sam_model(seed), classes).eval().requires_grad_(False)
