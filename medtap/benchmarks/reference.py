"""The reference algorithm of Take a Peek, re-stated as its authors run it: for comparison of cost, not for use."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions
from medtap.adapters import Adapter
from medtap.losses import support_loss
from medtap.networks.segmenter import FewShotSegmenter, share_weights


class ReferenceRun:
    """A fresh adapter on a network that shares its weights with the one given, and the parts of a pass with it.

    Every support image is encoded again in every step, at batch 1, and only the last query forward is used. Traps of
    the published code that change results (scoring before the last update, dropout while predicting) are not repeated.

    Args:
        segmenter: the network, which is left as it is.
        images: [K,3,S,S].
        masks: binary [K,S,S].
        adapter: attached anew.
        options: learning rate, weight decay and seed.
    """

    def __init__(
        self, segmenter: FewShotSegmenter, images: Tensor, masks: Tensor, adapter: Adapter, options: TapOptions
    ) -> None:
        self.network, self.images, self.masks = share_weights(segmenter).eval().requires_grad_(False), images, masks
        self.attached = adapter.attach(self.network.encoder)
        self.attached.reset(Generator().manual_seed(options.seed))
        trained, decay = self.attached.parameters(), options.weight_decay
        self.optimizer = torch.optim.AdamW(trained, options.learning_rate, weight_decay=decay)

    @torch.enable_grad()
    def step(self, shot: int) -> None:
        """Segment one support image by the others (by itself where there is no other) and take a step."""
        others = [index for index in range(len(self.images)) if index != shot] or [shot]
        self.attached.train()
        logits = self._one_by_one(self.images[shot : shot + 1], others)
        self.optimizer.zero_grad()
        support_loss(logits, self.masks[shot : shot + 1].long()).backward()
        self.optimizer.step()

    @torch.no_grad()
    def segment(self, query: Tensor) -> Tensor:
        """Segment a query [1,3,S,S] by all support images: logits [1,2,S,S]."""
        self.attached.train(False)
        return self._one_by_one(query, list(range(len(self.images))))

    def _one_by_one(self, query: Tensor, shots: list[int]) -> Tensor:
        each = [self.network.encode(self.images[shot : shot + 1]) for shot in shots]
        support = tuple(torch.stack(levels, dim=1) for levels in zip(*each, strict=True))
        return self.network.decode(self.network.encode(query), support, self.masks[shots].float().unsqueeze(0))


def reference_query(
    segmenter: FewShotSegmenter, query: Tensor, images: Tensor, masks: Tensor, adapter: Adapter, options: TapOptions
) -> Tensor:
    """Segment one query as the published code does: a fresh adapter, T passes, the query forwarded in each of them.

    Args:
        segmenter: the network, which is left as it is.
        query: [1,3,S,S].
        images: [K,3,S,S].
        masks: binary [K,S,S].
        adapter: attached anew.
        options: T of at least 1, learning rate, weight decay and seed.

    Returns:
        Logits [1,2,S,S].
    """
    run = ReferenceRun(segmenter, images, masks, adapter, options)
    for _ in range(options.passes):
        for shot in range(len(images)):
            run.step(shot)
        logits = run.segment(query)
    return logits
