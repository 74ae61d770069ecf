"""Block encoders and DCAMA small enough for tests, with random weights of official names."""

from __future__ import annotations

from torch import Tensor
from transformers import ResNetConfig, SwinConfig

from medtap.networks.blocks import BlockEncoder, resnet_blocks, swin_blocks
from medtap.networks.checkpoints.dcama import DCAMA
from medtap.networks.checkpoints.layout import translate
from medtap.networks.dcama import DcamaSegmenter
from tests.networks.official import Shapes, dcama_shapes, random_state, resnet_shapes, swin_shapes

STAGES = (1, 2, 3, 4)
HEADS = 2
RESNET = {"widths": (8, 16, 16, 32), "depths": (2, 1, 2, 1)}
SWIN = {"embed": 8, "depths": (1, 2, 2, 2), "heads": (1, 2, 2, 4), "window": 3}
SWIN_SIZE, RESNET_SIZE = 96, 64
WIDTHS = {"swin-b": (8, 16, 32, 64), "resnet50": RESNET["widths"]}
DEPTHS = {"swin-b": SWIN["depths"], "resnet50": RESNET["depths"]}
SIZES = {"swin-b": SWIN_SIZE, "resnet50": RESNET_SIZE}


def tiny_resnet(stages: tuple[int, ...] = STAGES) -> BlockEncoder:
    """Bottlenecks of 8 to 32 channels."""
    config = ResNetConfig(embedding_size=4, hidden_sizes=list(RESNET["widths"]), depths=list(RESNET["depths"]))
    return resnet_blocks(config, stages).eval()


def tiny_swin(stages: tuple[int, ...] = STAGES) -> BlockEncoder:
    """Blocks of 8 to 64 channels, windows of 3, trained at 96 px: its last stage is one window then."""
    config = SwinConfig(
        image_size=SWIN_SIZE,
        patch_size=4,
        embed_dim=SWIN["embed"],
        depths=list(SWIN["depths"]),
        num_heads=list(SWIN["heads"]),
        window_size=SWIN["window"],
    )
    return swin_blocks(config, stages).eval()


def official_shapes(backbone: str) -> Shapes:
    """Names and shapes of a checkpoint of the tiny DCAMA."""
    encoder = (
        swin_shapes(SWIN_SIZE, **SWIN) if backbone == "swin-b" else resnet_shapes(4, RESNET["widths"], RESNET["depths"])
    )
    return dcama_shapes(WIDTHS[backbone], DEPTHS[backbone], encoder)


def blank_dcama(backbone: str) -> DcamaSegmenter:
    """A tiny DCAMA whose weights nobody chose."""
    network = DcamaSegmenter(tiny_swin() if backbone == "swin-b" else tiny_resnet(), HEADS)
    network.name, network.size = f"dcama-{backbone}", SIZES[backbone]
    return network


def tiny_dcama(backbone: str, seed: int = 0) -> tuple[DcamaSegmenter, dict[str, Tensor]]:
    """A tiny DCAMA in evaluation, and the official tensors that its weights were made of."""
    official = random_state(official_shapes(backbone), seed)
    network = blank_dcama(backbone)
    network.load_state_dict(translate(official, DCAMA[backbone]))
    return network.eval().requires_grad_(False), official
