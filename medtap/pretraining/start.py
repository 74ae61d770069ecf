"""The weights that meta-training starts from: a network's own, another's encoder, or a backbone of ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ConvNextV2Backbone, ConvNextV2Config, PreTrainedModel

from medtap.errors import WeightsError
from medtap.networks.checkpoints.reading import read_checkpoint
from medtap.networks.convnext import ConvNextV2
from medtap.networks.efficientnet_lite import EfficientNetLite, fold_published
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import CARD_FILE, load_network

_ADDED = "hidden_states_norms."
"""Norms that backbones of transformers have after each stage and models on the hub lack; they start as the identity."""


def start_from(network: FewShotSegmenter, folder: str | Path) -> None:
    """Give a network weights from disk.

    Args:
        network: is changed.
        folder: of a network, as ``medtap convert`` and ``medtap pretrain`` write it: all weights of a network of the
            same name, with its learned rates, the encoder's of another; or of transformers, as on the hub, with
            ``config.json`` and ``model.safetensors``: the backbone's. Or a published file of EfficientNet-Lite, for an
            encoder that is one, whose laterals stay as they are.

    Raises:
        WeightsError: the weights are missing or damaged, or do not fit.
    """
    folder = Path(folder)
    if folder.is_file():
        _take(network.encoder, {**network.encoder.state_dict(), **_folded(network, folder)}, folder)
        return
    if not (folder / CARD_FILE).is_file():
        backbone = _backbone(network, folder)
        _take(backbone, _pretrained(backbone, folder), folder)
        return
    given = load_network(folder)
    if given.name == network.name:
        _take(network, given.state_dict(), folder)
        network.rates, network.targets = given.rates, given.targets
    else:
        _take(network.encoder, given.encoder.state_dict(), folder)


def _folded(network: FewShotSegmenter, file: Path) -> dict[str, Tensor]:
    """The weights of a published EfficientNet-Lite for the network's encoder."""
    encoder = network.encoder
    if not isinstance(encoder, EfficientNetLite):
        expected = f"a folder with {CARD_FILE}"
        raise WeightsError(f"the encoder of {network.name!r} is no EfficientNet-Lite", file=file, expected=expected)
    try:
        return fold_published(read_checkpoint(file), encoder)
    except (KeyError, RuntimeError) as error:
        raise WeightsError("the weights are not those of the encoder", file=file, found=f"none for {error}") from error


def _backbone(network: FewShotSegmenter, folder: Path) -> ConvNextV2 | PreTrainedModel:
    kinds = (ConvNextV2, PreTrainedModel)
    found = next((part for part in network.encoder.modules() if isinstance(part, kinds)), None)
    if found is None:
        raise WeightsError(
            f"the encoder of {network.name!r} is no backbone of transformers",
            file=folder,
            expected=f"a folder with {CARD_FILE}",
            remedy="convert a checkpoint of this network or of one with the same encoder: `medtap convert`",
        )
    return found


def _pretrained(backbone: ConvNextV2 | PreTrainedModel, folder: Path) -> dict[str, Tensor]:
    kind, config = _kind(backbone)
    how: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        loaded = kind.from_pretrained(str(folder), config=config, dtype=torch.float32, **how)
    except (OSError, ValueError, RuntimeError) as error:
        expected = f"a folder with {CARD_FILE}, or a backbone of transformers with model.safetensors"
        raise WeightsError("no weights to start from can be loaded", file=folder, expected=expected) from error
    missing = sorted(name for name in loaded[1]["missing_keys"] if not name.startswith(_ADDED))
    if missing:
        raise WeightsError("the weights are not those of the backbone", file=folder, found=f"none for {missing[0]!r}")
    weights: dict[str, Tensor] = loaded[0].state_dict()
    return weights


def _kind(backbone: ConvNextV2 | PreTrainedModel) -> tuple[Any, Any]:
    """The class of transformers and the configuration that the backbone's weights are read by."""
    if isinstance(backbone, PreTrainedModel):
        return type(backbone), backbone.config
    stages: Any = [f"stage{number}" for number in range(1, len(backbone.depths) + 1)]
    shape: Any = {
        "hidden_sizes": backbone.channels,
        "depths": backbone.depths,
        "num_stages": len(stages),
        "out_features": stages,
    }
    return ConvNextV2Backbone, ConvNextV2Config(**shape)


def _take(module: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        found = str(error).splitlines()[-1].strip()
        raise WeightsError("the weights do not fit the network", file=folder, found=found) from error
