"""Checkpoints as their authors' training wrote them: PyTorch files or safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medtap.errors import WeightsError
from medtap.networks.zoo import read_tensors

_WRAPPERS = ("state_dict", "model", "model_state")
_PARALLEL = "module."


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by their official names, ``module.`` of parallel training taken off.

    Args:
        path: a file of ``torch.save``, which may hold them under ``state_dict`` or ``model``, or of safetensors.

    Raises:
        WeightsError: the file is missing, damaged, holds anything but plain values (code is never run) or no tensors.
    """
    if not path.is_file():
        raise WeightsError("the checkpoint is missing", file=path, remedy="download it from its authors first")
    content = read_tensors(path) if path.suffix == ".safetensors" else _unwrapped(_load(path))
    tensors = {name.removeprefix(_PARALLEL): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError("the checkpoint holds no tensors", file=path, expected="a network's state dict")
    return tensors


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle may raise anything
        raise WeightsError(
            "the checkpoint cannot be read",
            file=path,
            expected="a PyTorch file of tensors and plain values, or safetensors",
            found="a damaged file, or one that would run code",
        ) from error


def _unwrapped(content: Any) -> Mapping[str, Any]:
    """The state dict in what was loaded: itself, or under one of the names that training scripts use."""
    for name in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            return content[name]
    return content if isinstance(content, Mapping) else {}
