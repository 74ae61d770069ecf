"""SAM and SAM 2 small enough for tests, of 64 px."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Generator
from transformers import PreTrainedConfig, Sam2Config, Sam2Model, SamConfig, SamModel

from medtap.networks.sam import SamSegmenter

Model = TypeVar("Model", SamModel, Sam2Model)


def tiny_sam_config() -> SamConfig:
    """An 8 x 8 grid of 16 channels in windows of 4, two blocks, the second one global; 32 channels in the decoder."""
    vision = {"hidden_size": 16, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 64, "patch_size": 8, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16}
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def tiny_sam2_config() -> Sam2Config:
    """Four stages of 8 to 32 channels, five blocks, the fourth one global; maps of 16 x 16, 8 x 8 and 4 x 4."""
    stages = {"blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 24, 32], "hidden_size": 8}
    stages |= {"num_attention_heads_per_stage": [1, 2, 2, 2], "window_size_per_stage": [4, 4, 2, 2]}
    stages |= {"global_attention_blocks": [3], "image_size": [64, 64]}
    vision = {"backbone_config": {"model_type": "sam2_hiera_det_model", **stages}, "fpn_hidden_size": 32}
    vision |= {"backbone_channel_list": [32, 24, 16, 8], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]}
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 16}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    decoder |= {"dynamic_multimask_via_stability": False}
    return Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def tiny_sam_model(seed: int = 0) -> SamModel:
    """Transformers' model, every weight away from its usual start (zero, for much of SAM)."""
    return _moved(SamModel, tiny_sam_config(), seed)


def tiny_sam2_model(seed: int = 0) -> Sam2Model:
    """Transformers' model, every weight away from its usual start."""
    return _moved(Sam2Model, tiny_sam2_config(), seed)


def _moved(kind: type[Model], config: PreTrainedConfig, seed: int) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config).eval()
    generator = Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        model.shared_image_embedding.positional_embedding.normal_(generator=generator)
    return model


def tiny_sam(classes: int = 0, seed: int = 0) -> SamSegmenter:
    """SAM, frozen, in evaluation."""
    return _still(tiny_sam_model(seed), classes, seed)


def tiny_sam2(classes: int = 0, seed: int = 0) -> SamSegmenter:
    """SAM 2, frozen, in evaluation."""
    return _still(tiny_sam2_model(seed), classes, seed)


def _still(model: SamModel | Sam2Model, classes: int, seed: int) -> SamSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SamSegmenter(model, classes).eval().requires_grad_(False)
