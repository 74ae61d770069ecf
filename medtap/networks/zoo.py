"""The zoo: named builders of networks and where their weights come from. A network is one line in ``BUILDERS``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from medtap.errors import OptionError, WeightsError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.encoders import convnextv2_atto
from medtap.networks.segmenter import FewShotSegmenter

EMBEDDED = Path(__file__).parent / "weights"
WEIGHTS_FILE, CARD_FILE = "model.safetensors", "network.json"


def medtap_atto() -> FewShotSegmenter:
    """The embedded network: ConvNeXtV2-atto and dense query-support attention, 3.6 M parameters, 256 px."""
    return DenseAttentionSegmenter(convnextv2_atto())


BUILDERS: dict[str, Callable[[], FewShotSegmenter]] = {
    "medtap-atto": medtap_atto,
}


def build_network(name: str) -> FewShotSegmenter:
    """Build a network of the zoo with random weights.

    Raises:
        OptionError: no network has that name.
    """
    if name not in BUILDERS:
        raise _unknown(name)
    network = BUILDERS[name]()
    network.name = name
    return network


def _unknown(name: str) -> OptionError:
    close = get_close_matches(name, BUILDERS, n=1)
    return OptionError(
        f"no network is called {name!r}",
        expected=f"one of {', '.join(BUILDERS)}, or a folder with {CARD_FILE} and {WEIGHTS_FILE}",
        remedy=f"did you mean {close[0]!r}?" if close else None,
    )


def load_network(name_or_folder: str | Path) -> FewShotSegmenter:
    """Load a pretrained few-shot network, ready for evaluation, its weights frozen.

    Args:
        name_or_folder: a name of the zoo, such as ``"medtap-atto"``, or a folder that ``save_network`` wrote.

    Raises:
        OptionError: there is no such name or folder.
        WeightsError: the weights are missing, corrupt or do not fit the network.
    """
    known = str(name_or_folder) in BUILDERS
    folder = EMBEDDED / str(name_or_folder) if known else Path(name_or_folder)
    if not folder.is_dir() and not known:
        raise _unknown(str(name_or_folder))
    if not folder.is_dir():
        raise WeightsError("the network's weights are not there", file=folder, remedy="name a folder with weights")
    card = _read_card(folder / CARD_FILE)
    network = build_network(card["network"])
    network.rates = card.get("rates", {})
    load_weights(network, read_tensors(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE)
    network.source = str(name_or_folder if known else folder.resolve())
    return network.eval().requires_grad_(False)


def save_network(network: FewShotSegmenter, folder: Path, card: Mapping[str, object]) -> None:
    """Write a network's weights in half precision and a card that tells how they were made.

    Args:
        network: one that the zoo built.
        folder: is made if need be.
        card: what to tell beside the network's name and its learned rates; plain JSON values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: _halve(tensor) for name, tensor in network.state_dict().items()}
    save_file(half, folder / WEIGHTS_FILE)
    rates = {"rates": dict(network.rates)} if network.rates else {}
    (folder / CARD_FILE).write_text(json.dumps({"network": network.name, **card, **rates}, indent=2) + "\n")


def _halve(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().to(torch.float16 if tensor.is_floating_point() else tensor.dtype)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: the file is missing, or is no safetensors file (a pickle is never read).
    """
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError("the weights are missing", file=path) from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            "the weights cannot be read",
            file=path,
            expected="a safetensors file",
            found="something else or a damaged one",
        ) from error


def load_weights(network: FewShotSegmenter, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors of any floating precision into a network, as float32.

    Raises:
        WeightsError: names or shapes differ.
    """
    try:
        network.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        )
    except RuntimeError as error:
        raise WeightsError(
            f"the weights do not fit the network {network.name!r}",
            file=path,
            remedy=str(error).splitlines()[-1].strip(),
        ) from error


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        return {**card, "network": str(card["network"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            "the folder holds no network", file=path, expected='a JSON object with a "network"'
        ) from error


def weights_sha256(network: FewShotSegmenter) -> str:
    """Hash of a network's name and of every weight and buffer, independent of how they are stored."""
    digest = hashlib.sha256(network.name.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
