"""The published sizes of SAM: how they are built, and where their weights lie on the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import SamConfig

from medtap.networks.origin import origin
from medtap.networks.sam import CODE, SamSegmenter, build_sam, load_sam

_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class SamSize:
    """A published SAM.

    Attributes:
        width: channels of the vision encoder.
        depth: its layers.
        heads: of each layer.
        whole: the layers that attend to the whole image; the others see windows of 14 x 14 tokens.
        repository: on the hub.
        revision: the commit of it.
    """

    width: int
    depth: int
    heads: int
    whole: tuple[int, ...]
    repository: str
    revision: str

    def config(self) -> SamConfig:
        """Transformers' configuration."""
        vision = {"hidden_size": self.width, "num_hidden_layers": self.depth, "num_attention_heads": self.heads}
        return SamConfig(vision_config=vision | {"global_attn_indexes": list(self.whole)})


SAM_SIZES: dict[str, SamSize] = {
    "sam-vit-b": SamSize(
        768, 12, 12, (2, 5, 8, 11), "facebook/sam-vit-base", "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f"
    ),
    "sam-vit-l": SamSize(
        1024, 24, 16, (5, 11, 17, 23), "facebook/sam-vit-large", "70009d56dac23ebb3265377257158b1d6ed4c802"
    ),
    "sam-vit-h": SamSize(
        1280, 32, 16, (7, 15, 23, 31), "facebook/sam-vit-huge", "87aecf0df4ce6b30cd7de76e87673c49644bdf67"
    ),
}

_WHERE = {name: f"hub: {size.repository} at {size.revision}" for name, size in SAM_SIZES.items()}


@origin(encoder="ViT-B of SAM", code=CODE, weights=_WHERE["sam-vit-b"], weights_licence=_LICENCE)
def sam_vit_b(classes: int = 0) -> SamSegmenter:
    """SAM ViT-B (Kirillov et al., ICCV 2023) without prompts, 1024 px."""
    return _built("sam-vit-b", classes)


@origin(encoder="ViT-L of SAM", code=CODE, weights=_WHERE["sam-vit-l"], weights_licence=_LICENCE)
def sam_vit_l(classes: int = 0) -> SamSegmenter:
    """SAM ViT-L (Kirillov et al., ICCV 2023) without prompts, 1024 px."""
    return _built("sam-vit-l", classes)


@origin(encoder="ViT-H of SAM", code=CODE, weights=_WHERE["sam-vit-h"], weights_licence=_LICENCE)
def sam_vit_h(classes: int = 0) -> SamSegmenter:
    """SAM ViT-H (Kirillov et al., ICCV 2023) without prompts, 1024 px."""
    return _built("sam-vit-h", classes)


def load_published_sam(name: str, classes: int = 0) -> SamSegmenter:
    """Load a published SAM from the hub, or from its cache.

    Args:
        name: in ``SAM_SIZES``.
        classes: N of a class branch, or 0.

    Raises:
        WeightsError: the hub cannot be reached, and its cache does not hold the weights.
    """
    size = SAM_SIZES[name]
    return _named(load_sam(size.repository, size.revision, classes), name)


def _built(name: str, classes: int) -> SamSegmenter:
    return _named(build_sam(SAM_SIZES[name].config(), classes), name)


def _named(network: SamSegmenter, name: str) -> SamSegmenter:
    network.name = network.source = name
    network.build = {"classes": network.classes}
    return network
