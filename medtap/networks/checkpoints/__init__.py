"""Official checkpoints, converted: a layout is a file and a line in ``LAYOUTS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from medtap.errors import OptionError, WeightsError
from medtap.networks.checkpoints.affinity import AFFINITY
from medtap.networks.checkpoints.bam import BAM, BAM_ENSEMBLE, bam_build, bam_ensemble_build
from medtap.networks.checkpoints.dcama import DCAMA
from medtap.networks.checkpoints.dmtnet import DMTNET
from medtap.networks.checkpoints.hsnet import HSNET
from medtap.networks.checkpoints.layout import Rules, translate, unknown_names
from medtap.networks.checkpoints.patnet import PATNET
from medtap.networks.checkpoints.pfenet import PFENET
from medtap.networks.checkpoints.reading import read_checkpoint
from medtap.networks.checkpoints.ssp import SSP
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import build_network

LAYOUTS: dict[str, Mapping[str, Rules]] = {
    "dcama": DCAMA,
    "hsnet": HSNET,
    "patnet": PATNET,
    "dmtnet": DMTNET,
    "pfenet": PFENET,
    "bam": BAM,
    "bam-ensemble": BAM_ENSEMBLE,
    "ssp": SSP,
    "affinity": AFFINITY,
}
"""Rules by network and backbone; the zoo calls the network ``NETWORK-BACKBONE``."""

BUILDS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, int]]] = {
    "bam": bam_build,
    "bam-ensemble": bam_ensemble_build,
}
"""By network, what its builder takes for a checkpoint, where there is anything to choose."""

__all__ = ["LAYOUTS", "layout_of", "load_checkpoint", "read_checkpoint"]

_MOST_NAMED = 5


def layout_of(network: str, backbone: str) -> Rules:
    """The rules of a network on a backbone.

    Raises:
        OptionError: no layout is known of it.
    """
    if network not in LAYOUTS:
        raise OptionError(f"no layout of {network!r} checkpoints is known", expected=f"one of {', '.join(LAYOUTS)}")
    if backbone not in LAYOUTS[network]:
        expected = f"one of {', '.join(LAYOUTS[network])}"
        raise OptionError(f"no layout of {network!r} on {backbone!r} is known", expected=expected)
    return LAYOUTS[network][backbone]


def load_checkpoint(network: str, backbone: str, path: Path) -> FewShotSegmenter:
    """Build a network of the zoo with the weights of an official checkpoint.

    Args:
        network: a key of ``LAYOUTS``.
        backbone: a key of that network's layouts.
        path: see ``read_checkpoint``.

    Raises:
        OptionError: no such layout is known.
        WeightsError: the file cannot be read; or it has tensors that the layout does not know, lacks some, or has some
            of another shape.
    """
    rules = layout_of(network, backbone)
    official = read_checkpoint(path)
    build = BUILDS[network](official) if network in BUILDS else {}
    built = build_network(f"{network}-{backbone}", build)
    ours = translate(official, rules)
    wrong = _misfits(official, ours, built, rules)
    if wrong:
        raise WeightsError(
            f"the checkpoint is not one of {network} on {backbone}",
            file=path,
            expected=f"{len(built.state_dict())} tensors of {built.name}",
            found="; ".join(wrong),
            remedy=_better_layout(official),
        )
    built.load_state_dict(ours)
    return built.eval().requires_grad_(False)


def _misfits(
    official: Mapping[str, Tensor], ours: Mapping[str, Tensor], built: FewShotSegmenter, rules: Rules
) -> list[str]:
    own = built.state_dict()
    known = {name: tensor for name, tensor in ours.items() if name in own}
    shapes = [name for name, tensor in known.items() if tensor.shape != own[name].shape]
    found = {
        "unknown": unknown_names(official, rules) + [name for name in ours if name not in own],
        "missing": [name for name in own if name not in ours],
        "of another shape": [f"{name} {tuple(known[name].shape)} for {tuple(own[name].shape)}" for name in shapes],
    }
    return [f"{len(names)} {what}: {_listed(names)}" for what, names in found.items() if names]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _better_layout(official: Mapping[str, Tensor]) -> str | None:
    """The layouts that know every name of a checkpoint, as advice."""
    fitting = [
        f"--network {network} --backbone {backbone}"
        for network, backbones in LAYOUTS.items()
        for backbone, rules in backbones.items()
        if not unknown_names(official, rules)
    ]
    return f"its names are those of {' or '.join(fitting)}" if fitting else None
