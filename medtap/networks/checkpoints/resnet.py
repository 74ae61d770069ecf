"""ResNets with torchvision's names, as transformers names them."""

from __future__ import annotations

from medtap.networks.checkpoints.layout import Rule

_NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"


def _bottleneck(stage: int) -> list[Rule]:
    block, own = rf"layer{stage}\.(\d+)\.", rf"encoder.stages.{stage - 1}.layers.\1."
    rules: list[Rule] = []
    for place in range(3):
        rules.append((rf"{block}conv{place + 1}\.weight", (rf"{own}layer.{place}.convolution.weight",)))
        rules.append((rf"{block}bn{place + 1}\.{_NORM}", (rf"{own}layer.{place}.normalization.\2",)))
    rules.append((rf"{block}downsample\.0\.weight", (rf"{own}shortcut.convolution.weight",)))
    rules.append((rf"{block}downsample\.1\.{_NORM}", (rf"{own}shortcut.normalization.\2",)))
    return rules


RESNET: list[Rule] = [
    (r"conv1\.weight", ("embedder.embedder.convolution.weight",)),
    (rf"bn1\.{_NORM}", (r"embedder.embedder.normalization.\1",)),
    *(rule for stage in range(1, 5) for rule in _bottleneck(stage)),
    (r"fc\.(weight|bias)", ()),
]
"""Of bottlenecks; the classifier is not needed."""
