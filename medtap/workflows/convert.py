"""From an official checkpoint to a network that medtap loads."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch

from medtap.networks.checkpoints import load_checkpoint
from medtap.networks.origin import origin_of
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import BUILDERS, CARD_FILE, WEIGHTS_FILE, save_network
from medtap.outputs import RunFolder


def convert(
    network: str, backbone: str, checkpoint: str | Path, out: str | Path, *, overwrite: bool = False
) -> FewShotSegmenter:
    """Write a published checkpoint as a folder that ``medtap.load_network`` takes, in single precision.

    Args:
        network: such as ``dcama``; a key of `medtap.networks.checkpoints.LAYOUTS`.
        backbone: such as ``swin-b`` or ``resnet50``.
        checkpoint: its authors' file.
        out: the folder to write.
        overwrite: whether an earlier run in ``out`` may be replaced.

    Returns:
        The network.

    Raises:
        OptionError: no such layout is known.
        WeightsError: the checkpoint cannot be read or is not one of that network on that backbone.
        OutputError: the folder must not be written to.
    """
    path = Path(checkpoint)
    converted = load_checkpoint(network, backbone, path)
    source = {"file": path.name, "sha256": file_sha256(path)}
    card = {"backbone": backbone, "origin": asdict(origin_of(BUILDERS[converted.name])), "checkpoint": source}
    request = {"network": converted.name, **source}
    with RunFolder(out, inputs=[path], options=request, overwrite=overwrite) as run:
        for name in (WEIGHTS_FILE, CARD_FILE):
            run.file(name)
        save_network(converted, run.path, card, torch.float32)
    return converted


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
