"""Fine-tuning of parameters that a network has anyway: norms, biases, the head, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from medtap.adapters.adapter import Adapter
from medtap.adapters.attached_parameters import AttachedParameters
from medtap.adapters.targets import choose_targets, is_norm
from medtap.networks.segmenter import FewShotSegmenter


@dataclass(frozen=True)
class NormTuning(Adapter):
    """Trains the affine parameters of an encoder's norms (Frankle et al., ICLR 2021; Zhao et al., ICLR 2024).

    Statistics of batch norms stay as they are.

    Attributes:
        targets: which norms, see ``choose_targets``.
    """

    targets: str = "all"
    name = "layernorm"

    def attach(self, encoder: nn.Module) -> AttachedParameters:
        """Attach in place to the encoder's norms."""
        return _attach(encoder, self.targets, lambda layer: is_norm(layer) and _has_parameters(layer))


@dataclass(frozen=True)
class BitFit(Adapter):
    """BitFit (Ben Zaken et al., ACL 2022): trains every bias of an encoder.

    Attributes:
        targets: of which layers, see ``choose_targets``.
    """

    targets: str = "all"
    name = "bitfit"

    def attach(self, encoder: nn.Module) -> AttachedParameters:
        """Attach in place to the encoder's biases."""
        return _attach(encoder, self.targets, _has_bias, only="bias")


@dataclass(frozen=True)
class DecoderTuning(Adapter):
    """Trains everything but the encoder: the head of a network.

    Attributes:
        targets: which of its layers, see ``choose_targets``.
    """

    targets: str = "all"
    name = "decoder"

    def part(self, network: FewShotSegmenter) -> nn.Module:
        """The whole network."""
        return network

    def attach(self, encoder: nn.Module) -> AttachedParameters:
        """Attach in place to a network's layers outside of its ``encoder``."""
        inside = set(encoder.get_submodule("encoder").modules())
        return _attach(encoder, self.targets, lambda layer: layer not in inside and _has_parameters(layer))


@dataclass(frozen=True)
class FullTuning(Adapter):
    """Trains every parameter of a network.

    Attributes:
        targets: of which layers, see ``choose_targets``.
    """

    targets: str = "all"
    name = "full"

    def part(self, network: FewShotSegmenter) -> nn.Module:
        """The whole network."""
        return network

    def attach(self, encoder: nn.Module) -> AttachedParameters:
        """Attach in place to all layers of a network."""
        return _attach(encoder, self.targets, _has_parameters)


def _attach(
    module: nn.Module, targets: str, can_change: Callable[[nn.Module], bool], only: str | None = None
) -> AttachedParameters:
    """Attach to the parameters of a module's target layers, or to ``only`` those of one name."""
    chosen = set(choose_targets(module, targets, can_change))
    places = {name: name.rpartition(".") for name, _ in module.named_parameters()}
    names = [name for name, (layer, _, own) in places.items() if layer in chosen and only in (None, own)]
    return AttachedParameters(module, names, what="parameters")


def _has_parameters(layer: nn.Module) -> bool:
    return any(True for _ in layer.parameters(recurse=False))


def _has_bias(layer: nn.Module) -> bool:
    return "bias" in dict(layer.named_parameters(recurse=False))
