"""The zoo: named builders of networks and where their weights come from. A network is one line in ``BUILDERS``."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections import UserDict
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from medtap.errors import OptionError, WeightsError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.networks.efficientnet_lite import EfficientNetLite, scaled_stages
from medtap.networks.encoders import convnextv2_atto
from medtap.networks.origin import Builder, origin
from medtap.networks.segmenter import FewShotSegmenter

EMBEDDED = Path(__file__).parent / "weights"
WEIGHTS_FILE, CARD_FILE = "model.safetensors", "network.json"


@origin(encoder="EfficientNet-Lite2", code="Apache-2.0", weights="embedded", weights_licence="Apache-2.0")
def medtap_tiny() -> FewShotSegmenter:
    """The default: dense query-support attention on EfficientNet-Lite2, trained on from ImageNet, 4.6 M parameters."""
    return DenseAttentionSegmenter(EfficientNetLite([16, 40, 80, 160, 320], scaled_stages(width=1.1, depth=1.2)))


@origin(encoder="ConvNeXtV2-atto", code="Apache-2.0", weights="embedded", weights_licence="Apache-2.0")
def medtap_atto() -> FewShotSegmenter:
    """The same head on ConvNeXtV2-atto, trained from nothing: no weights of others in it, 3.5 M parameters."""
    return DenseAttentionSegmenter(convnextv2_atto())


@origin(encoder="EfficientNet-Lite0", code="Apache-2.0", weights="trained by configs/pretrain/lite.yaml")
def medtap_lite() -> FewShotSegmenter:
    """The teacher of medtap-tiny, the same head on EfficientNet-Lite0: 3.2 M parameters, no weights in the package."""
    return DenseAttentionSegmenter(EfficientNetLite([16, 40, 80, 160, 320]))


class Builders(UserDict[str, Builder]):
    """Builders by name, told as ``module:function``; a module is imported when its builder is asked for."""

    def __init__(self, told: Mapping[str, Builder | str]) -> None:
        super().__init__(cast("Mapping[str, Builder]", told))

    def __getitem__(self, name: str) -> Builder:
        told: object = self.data[name]
        if isinstance(told, str):
            module, _, function = told.partition(":")
            self.data[name] = getattr(import_module(f"medtap.networks.{module}"), function)
        return self.data[name]


BUILDERS = Builders(
    {
        "medtap-tiny": medtap_tiny,
        "medtap-atto": medtap_atto,
        "medtap-lite": medtap_lite,
        "affinity-resnet50": "affinity:affinity_resnet50",
        "ssp": "ssp:ssp",
        "ssp-resnet50": "ssp:ssp_resnet50",
        "ssp-dilated-resnet50": "ssp:ssp_dilated_resnet50",
        "dcama-swin-b": "dcama:dcama_swin_b",
        "dcama-resnet50": "dcama:dcama_resnet50",
        "hsnet-resnet50": "hsnet:hsnet_resnet50",
        "patnet-resnet50": "patnet:patnet_resnet50",
        "dmtnet-resnet50": "dmtnet:dmtnet_resnet50",
        "pfenet-resnet50": "pfenet:pfenet_resnet50",
        "bam-resnet50": "bam:bam_resnet50",
        "bam-ensemble-resnet50": "bam:bam_ensemble_resnet50",
        "sam": "sam:build_sam",
        "sam-vit-b": "sam_sizes:sam_vit_b",
        "sam-vit-l": "sam_sizes:sam_vit_l",
        "sam-vit-h": "sam_sizes:sam_vit_h",
    }
)


def build_network(name: str, build: Mapping[str, Any] | None = None) -> FewShotSegmenter:
    """Build a network of the zoo with random weights.

    Args:
        name: one of ``BUILDERS``.
        build: what its builder takes, such as the configuration of a backbone; its own choices when None.

    Raises:
        OptionError: no network has that name, or its builder does not take that.
    """
    if name not in BUILDERS:
        raise _unknown(name)
    try:
        inspect.signature(BUILDERS[name]).bind(**(build or {}))
    except TypeError as error:
        raise OptionError(f"the network {name!r} cannot be built so", found=str(error)) from error
    network = BUILDERS[name](**(build or {}))
    network.name = name
    if build:
        network.build = dict(build)
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
        name_or_folder: a name of the zoo, such as ``"medtap-tiny"``, or a folder that ``save_network`` wrote. The
            sizes of SAM are fetched from the hub, each at one commit.

    Raises:
        OptionError: there is no such name or folder.
        WeightsError: the weights are missing, corrupt or do not fit the network.
    """
    name = str(name_or_folder)
    folder = EMBEDDED / name if name in BUILDERS else Path(name_or_folder)
    if folder.is_dir():
        network = _load_folder(folder)
    elif name in BUILDERS:
        network = _from_hub(name)
    else:
        raise _unknown(name)
    network.source = name if name in BUILDERS else str(folder.resolve())
    return network.eval().requires_grad_(False)


def _from_hub(name: str) -> FewShotSegmenter:
    from medtap.networks.sam_sizes import SAM_SIZES, load_published_sam

    if name not in SAM_SIZES:
        remedy = "name a folder with weights, such as `medtap convert` and `medtap pretrain` write"
        raise WeightsError("the network's weights are not there", file=EMBEDDED / name, remedy=remedy)
    return load_published_sam(name)


def _load_folder(folder: Path) -> FewShotSegmenter:
    card = _read_card(folder / CARD_FILE)
    network = build_network(card["network"], card.get("build"))
    network.rates, network.targets = card.get("rates", {}), card.get("targets", network.targets)
    load_weights(network, read_tensors(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE)
    return network


def save_network(
    network: FewShotSegmenter, folder: Path, card: Mapping[str, object], dtype: torch.dtype = torch.float16
) -> None:
    """Write a network's weights and a card that tells how they were made.

    Args:
        network: one that the zoo built.
        folder: is made if need be.
        card: what to tell beside the network's name, build, targets and learned rates; plain JSON values.
        dtype: of the weights written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: _stored(tensor, dtype) for name, tensor in network.state_dict().items()}, folder / WEIGHTS_FILE)
    learned = {"targets": network.targets, "rates": dict(network.rates)} if network.rates else {}
    built = {"build": dict(network.build)} if network.build else {}
    told = {"network": network.name, **card, **built, **learned}
    (folder / CARD_FILE).write_text(json.dumps(told, indent=2) + "\n")


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().cpu().contiguous().to(dtype if tensor.is_floating_point() else tensor.dtype)


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
