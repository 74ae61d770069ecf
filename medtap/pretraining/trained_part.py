"""Which part of a network meta-training changes."""

from __future__ import annotations

from torch import nn

from medtap.errors import OptionError
from medtap.networks.segmenter import FewShotSegmenter

TRAINED = ("all", "head")


def choose_trained(network: FewShotSegmenter, part: str) -> list[nn.Parameter]:
    """Set a network up to train a part of it; the other part stays as it is, its norms and dropout in evaluation.

    Args:
        network: the network.
        part: ``all``, or ``head`` for all but the encoder.

    Returns:
        The parameters that are trained.

    Raises:
        OptionError: the head has none.
    """
    network.train().requires_grad_(True)
    if part == "head":
        network.encoder.eval().requires_grad_(False)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise OptionError(f"the head of {network.name!r} has no weights to train", expected="train: all")
    return trained
