"""Meta-training of a network to be adapted: first adapt to some pictures of a task, then learn from the others.

First-order meta-learning (Finn et al., ICML 2017; Nichol et al., arXiv 1803.02999): the gradient of the queries' loss
is taken at the adapted weights and applied to the weights that adapting starts from. Each layer's learning rate is
learned alike (Meta-SGD, Li et al., arXiv 1707.09835): a layer whose change went downhill for the queries is to change
more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Generator, Tensor, nn

from medtap.adapters import Adapter, AttachedAdapter
from medtap.chance import seeded
from medtap.frozen import frozen_parts_kept
from medtap.networks.segmenter import FewShotSegmenter, unfold_shots
from medtap.passes import SupportTraining
from medtap.pretraining.losses import mask_loss
from medtap.processes import average_gradients
from medtap.tap_options import TapOptions

_RANGE = 2.5  # of the logarithm of a layer's rate
_UNADAPTED = 0.5  # weight of the loss without adapting
_MOST_SHOTS = 8


class PeekTraining:
    """Trains a network through adaptations, and the rates by which its layers adapt.

    Args:
        network: the network that is trained; rates that it learned before are where the learning of them begins.
        adapters: what is adapted: each task draws one of them. A layer has the same rate in all.
        options: how, but for passes, rates and seed.
        learning_rate: of the logarithms of the layers' rates; 0 leaves them as they are.
    """

    def __init__(
        self, network: FewShotSegmenter, adapters: Sequence[Adapter], options: TapOptions, learning_rate: float
    ) -> None:
        self.network, self.options = network, options
        self.adapters = [adapter.suited(network) for adapter in adapters]
        self.layers = {adapter.name: _layers(adapter, network) for adapter in self.adapters}
        self.places = {name: place for place, name in enumerate(dict.fromkeys(chain(*self.layers.values())))}
        before = dict(chain(*(network.rates.get(name, {}).items() for name in self.layers)))
        rates = torch.tensor([before.get(name, 1.0) for name in self.places])
        self.logarithms = nn.Parameter(rates.log().to(next(network.parameters()).device))
        self.optimizer = torch.optim.Adam([self.logarithms], learning_rate)
        self.learned = False

    def rates(self) -> dict[str, dict[str, float]]:
        """By adapter and layer, what its learning rate is multiplied by."""
        values = [round(rate, 4) for rate in self.logarithms.exp().tolist()]
        return {name: {layer: values[self.places[layer]] for layer in own} for name, own in self.layers.items()}

    def backward(
        self, images: Tensor, masks: Tensor, drawn: Tensor, passes: int, generator: Generator, lacking: int = 0
    ) -> float:
        """Add the gradients of tasks [T,n,3,S,S] with masks [T,n,S,S] to the network; the mean loss after adapting.

        Shots have the masks ``drawn`` [T,n,S,S]. The last ``lacking`` pictures of each task are no shots.
        """
        self.optimizer.zero_grad()
        most = min(_MOST_SHOTS, images.shape[1] - lacking - 1)
        tasks = ((*task, _draw_count(most, generator)) for task in zip(images, masks, drawn, strict=True))
        losses = [self._task(*task, passes, generator, 1 / len(images)) for task in tasks]
        average_gradients([self.logarithms])
        self.optimizer.step()
        with torch.no_grad():
            self.logarithms.clamp_(-_RANGE, _RANGE)
        self.learned = True
        return sum(losses) / len(losses)

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        return {"rates": self.logarithms.detach(), "optimizer": self.optimizer.state_dict(), "learned": self.learned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` gave."""
        with torch.no_grad():
            self.logarithms.copy_(state["rates"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.learned = state["learned"]

    def _task(
        self, images: Tensor, masks: Tensor, drawn: Tensor, shots: int, passes: int, generator: Generator, weight: float
    ) -> float:
        """One task [n,3,S,S]: the first K of its pictures are the support set, with their masks as drawn."""
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        adapter = self.adapters[seed % len(self.adapters)]
        (weight * _UNADAPTED * self._query_loss(images, masks[shots:], drawn[:shots])).backward()
        options = replace(self.options, passes=passes, seed=seed)
        attached = self._adapted(adapter, images[:shots], drawn[:shots], options)
        loss = self._query_loss(images, masks[shots:], drawn[:shots])
        (weight * loss).backward()
        attached.hand_gradients_on()
        self._add_rate_gradients(attached, seed)
        attached.detach()
        return loss.item()

    def _adapted(self, adapter: Adapter, images: Tensor, masks: Tensor, options: TapOptions) -> AttachedAdapter:
        """The adapter after its passes, the network's own weights ready to be trained again."""
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        with seeded(options.seed, images.device):
            attached = adapter.attach(adapter.part(self.network))
            self.network.requires_grad_(False)
            for parameter in attached.parameters():
                parameter.requires_grad_(True)
            with frozen_parts_kept(self.network.encoder):
                rates = self.rates()[adapter.name]
                SupportTraining(self.network, attached, 1, options, rates).run(images, masks.long())
        for parameter in (*trained, *attached.parameters()):
            parameter.requires_grad_(True)
        for parameter in attached.parameters():
            parameter.grad = None
        return attached

    def _query_loss(self, images: Tensor, truth: Tensor, drawn: Tensor) -> Tensor:
        """The loss of a task's other pictures, of the masks ``truth``, segmented by the first ones as drawn."""
        shots = len(drawn)
        features = self.network.encode(images)
        support = unfold_shots(tuple(level[:shots] for level in features), 1)
        queries = tuple(level[shots:] for level in features)
        memory = self.network.remember(support, drawn[None])
        each = tuple(kept.expand(len(queries[0]), *kept.shape[1:]) for kept in memory)
        logits = self.network.resize(self.network.recall(queries, each).float(), truth.shape[-2:])
        return mask_loss(logits, truth)

    def _add_rate_gradients(self, attached: AttachedAdapter, seed: int) -> None:
        """A rate's gradient: the loss's along the way that its layer's parameters have come since the start."""
        layers = attached.layers()
        ends = {name: [value.detach().clone() for value in layer] for name, layer in layers.items()}
        attached.reset(Generator().manual_seed(seed))
        if self.logarithms.grad is None:
            self.logarithms.grad = torch.zeros_like(self.logarithms)
        for name, starts in layers.items():
            self.logarithms.grad[self.places[name]] += _slope(ends[name], starts)


def _draw_count(most: int, generator: Generator) -> int:
    """From 1 to as many as there are, fewer shots more often, for it is harder to adapt to few."""
    return 1 + int(most * float(torch.rand(1, generator=generator)) ** 1.5)


def _layers(adapter: Adapter, network: FewShotSegmenter) -> list[str]:
    """The layers that an adapter changes."""
    attached = adapter.attach(adapter.part(network))
    layers = list(attached.layers())
    attached.detach()
    return layers


def _slope(ends: list[Tensor], starts: list[nn.Parameter]) -> float:
    """The loss's slope from a layer's parameters at the start to where they ended, by the gradients they hold."""
    moves = zip(ends, starts, strict=True)
    return sum(float(((end - start.detach()) * start.grad).sum()) for end, start in moves if start.grad is not None)
