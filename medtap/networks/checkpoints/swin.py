"""Swin transformers with their authors' names, as transformers names them."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule

_BLOCK, _OWN = r"layers\.(\d+)\.blocks\.(\d+)\.", r"encoder.layers.\1.blocks.\2."
_ATTENTION = _OWN + "attention."
_PARTS = ("q_proj", "k_proj", "v_proj")

SWIN: list[Rule] = [
    (r"patch_embed\.proj\.(weight|bias)", (r"embeddings.patch_embeddings.projection.\1",)),
    (r"patch_embed\.norm\.(weight|bias)", (r"embeddings.norm.\1",)),
    (rf"{_BLOCK}norm1\.(weight|bias)", (rf"{_OWN}layernorm_before.\3",)),
    (rf"{_BLOCK}norm2\.(weight|bias)", (rf"{_OWN}layernorm_after.\3",)),
    (rf"{_BLOCK}attn\.qkv\.(weight|bias)", tuple(rf"{_ATTENTION}{part}.\3" for part in _PARTS)),
    (rf"{_BLOCK}attn\.proj\.(weight|bias)", (rf"{_ATTENTION}o_proj.\3",)),
    (
        rf"{_BLOCK}attn\.relative_position_bias_table",
        (rf"{_ATTENTION}relative_position_bias.relative_position_bias_table",),
    ),
    (rf"{_BLOCK}(attn\.relative_position_index|attn_mask)", ()),
    (rf"{_BLOCK}mlp\.(fc1|fc2)\.(weight|bias)", (rf"{_OWN}mlp.\3.\4",)),
    (
        r"layers\.(\d+)\.downsample\.(reduction\.weight|norm\.weight|norm\.bias)",
        (r"encoder.layers.\1.downsample.\2",),
    ),
    (r"norm\.(weight|bias)", (r"layernorm.\1",)),
    (r"head\.(weight|bias)", ()),
]
"""The fused projection is split in three; computed tables and the classifier are not needed."""
