"""The making of a bundle's ``models/model.pt``: an adapted network in half precision, with a manifest beside it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from medtap.errors import OptionError
from medtap.outputs import atomic_write, write_json
from medtap.record import MANIFEST
from medtap.workflows.bundle.model import Adaptation, ShippedModel
from medtap.workflows.predict import record_of


def write_model(model_file: str | Path, model: Adaptation | ShippedModel, device: torch.device | str = "cpu") -> Path:
    """Adapt, and write the state dict in half precision and ``manifest.json`` beside it.

    Args:
        model_file: a bundle's ``models/model.pt``.
        model: what to adapt to.
        device: where; the bytes are the same each time on a CPU.

    Returns:
        The file.

    Raises:
        OptionError: there is no support set to adapt to.
        OutputError: the files cannot be written.
    """
    if isinstance(model, ShippedModel):
        raise OptionError("a bundle's model is made by adapting", remedy="name a support set (--support_images)")
    adapted, path = model.adapt(device), Path(model_file)
    content = io.BytesIO()
    torch.save({name: _halved(tensor) for name, tensor in adapted.state_dict().items()}, content)
    with atomic_write(path) as partial:
        partial.write_bytes(content.getvalue())
    record = replace(record_of(adapted), adapter_sha256=hashlib.sha256(content.getvalue()).hexdigest())
    write_json(path.with_name(MANIFEST), record.as_json())
    return path


def _halved(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
