"""Block encoders: transformers backbones that give the output of every block, for heads that match block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from torch import Tensor, nn
from transformers import PreTrainedModel, ResNetConfig, ResNetModel, SwinConfig, SwinModel

from medtap.networks.encoders import fit_to_patches, normalise
from medtap.networks.segmenter import Features

Read: TypeAlias = Callable[[tuple[Any, ...], Any], Tensor]
"""Reads a block's map [B,C,h,w] from what a module was given and what it returned."""


class BlockEncoder(nn.Module):
    """A transformers backbone as the outputs of every block of some of its stages, normalised inside.

    Args:
        backbone: a transformers model of stages of blocks.
        blocks: names of the modules that blocks are read at, by stage, fine to coarse.
        read: reads a block's map at such a module.
        channels: channels of each stage's maps.
        patch: images are resized to a multiple of this side in pixels, where the backbone would pad or crop them.
        call: what the backbone is called with beside the images.

    Attributes:
        depths: how many maps each stage gives.
        channels: channels of each stage's maps.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        blocks: Sequence[Sequence[str]],
        read: Read,
        channels: Sequence[int],
        patch: int = 1,
        **call: bool,
    ) -> None:
        super().__init__()
        self.backbone, self.patch = backbone, patch
        self.channels, self.depths = tuple(channels), tuple(len(stage) for stage in blocks)
        self._blocks = [name for stage in blocks for name in stage]
        self._read, self._call = read, call

    def forward(self, images: Tensor) -> Features:
        """Encode images [B,3,H,W] in [0,1] into one map [B,C,h,w] a block, in the order the blocks are run."""
        modules = [self.backbone.get_submodule(name) for name in self._blocks]
        with _recorded(modules, self._read) as maps:
            self.backbone(fit_to_patches(normalise(images), self.patch), **self._call)
        return tuple(maps)


@contextmanager
def _recorded(modules: Sequence[nn.Module], read: Read) -> Iterator[list[Tensor]]:
    """Collect what is read at modules while they run; hooks that stayed would be shared by copies of the network."""
    maps: list[Tensor] = []

    def record(_: nn.Module, given: tuple[Any, ...], returned: Any) -> None:
        maps.append(read(given, returned))

    handles = [module.register_forward_hook(record) for module in modules]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def resnet_blocks(config: ResNetConfig, stages: Sequence[int]) -> BlockEncoder:
    """A ResNet as its bottlenecks' outputs, after the residual addition and before the last ReLU (HSNet, section 4.1).

    Args:
        config: of any depths and widths.
        stages: which stages give maps, from 1 (stride 4) to 4 (stride 32).
    """
    depths, widths = cast("list[int]", config.depths), cast("list[int]", config.hidden_sizes)
    names = [[f"encoder.stages.{s - 1}.layers.{i}.activation" for i in range(depths[s - 1])] for s in stages]
    return BlockEncoder(ResNetModel(config), names, _before_activation, [widths[s - 1] for s in stages])


def _before_activation(given: tuple[Any, ...], _: Any) -> Tensor:
    return given[0]


def swin_blocks(config: SwinConfig, stages: Sequence[int]) -> BlockEncoder:
    """A Swin transformer as its blocks' outputs, before the stages' patch merging.

    Windows have the size that the weights were trained with at every size of image: maps are padded to them. Where a
    stage's map was one window in training, its windows are not shifted.

    Args:
        config: of any depths and widths; ``image_size`` is the side in pixels of the images it was trained on.
        stages: which stages give maps, from 1 (stride 4) to 4 (stride 32).
    """
    backbone, patch = SwinModel(config, add_pooling_layer=False), cast("int", config.patch_size)
    for index, depth in enumerate(config.depths):
        if cast("int", config.image_size) // (patch * 2**index) <= config.window_size:
            for block in range(depth):
                cast("Any", backbone.get_submodule(f"encoder.layers.{index}.blocks.{block}")).shift_size = 0
    names = [[f"encoder.layers.{s - 1}.blocks.{i}" for i in range(config.depths[s - 1])] for s in stages]
    channels = [config.embed_dim * 2 ** (s - 1) for s in stages]
    return BlockEncoder(backbone, names, _tokens_as_map, channels, patch, always_partition=True)


def _tokens_as_map(given: tuple[Any, ...], returned: Any) -> Tensor:
    tokens: Tensor = returned[0]
    return tokens.transpose(1, 2).unflatten(2, given[1]).contiguous()


def resnet50_blocks(stages: Sequence[int] = (2, 3, 4)) -> BlockEncoder:
    """ResNet-50 (He et al., CVPR 2016; stride in the 3x3 convolution): 4, 6 and 3 maps of strides 8, 16 and 32."""
    return resnet_blocks(ResNetConfig(), stages)


def swin_b_blocks(stages: Sequence[int] = (1, 2, 3, 4)) -> BlockEncoder:
    """Swin-B (Liu et al., ICCV 2021) of 384 px and windows of 12: 2, 2, 18 and 2 maps of strides 4, 8, 16 and 32."""
    config = SwinConfig(
        image_size=384, patch_size=4, window_size=12, embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32]
    )
    return swin_blocks(config, stages)
