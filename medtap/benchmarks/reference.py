"""The reference algorithm of Take a Peek, re-stated as its authors run it: for comparison of cost, not for use."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from medtap.adaptation import TapOptions
from medtap.adapters import Adapter
from medtap.losses import support_loss
from medtap.networks.segmenter import FewShotSegmenter, share_weights


@torch.enable_grad()
def reference_query(
    segmenter: FewShotSegmenter, query: Tensor, images: Tensor, masks: Tensor, adapter: Adapter, options: TapOptions
) -> Tensor:
    """Segment one query as the published code does: a fresh adapter, T passes, the query forwarded in each of them.

    Every support image is encoded again in every step, at batch 1, and only the last query forward is used. Its traps
    that change results (scoring before the last update, dropout while predicting) are not repeated.

    Args:
        segmenter: the network, which is left as it is.
        query: [1,3,S,S].
        images: [K,3,S,S].
        masks: binary [K,S,S].
        adapter: attached anew.
        options: T of at least 1, learning rate and seed.

    Returns:
        Logits [1,2,S,S].
    """
    network = share_weights(segmenter).eval().requires_grad_(False)
    attached = adapter.attach(network.encoder)
    attached.reset(Generator().manual_seed(options.seed))
    optimizer = torch.optim.AdamW(attached.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    for _ in range(options.passes):
        for shot in range(len(images)):
            others = [index for index in range(len(images)) if index != shot] or [shot]
            attached.train()
            logits = _one_by_one(network, images[shot : shot + 1], images[others], masks[others])
            optimizer.zero_grad()
            support_loss(logits, masks[shot : shot + 1].long()).backward()
            optimizer.step()
        attached.train(False)
        with torch.no_grad():
            logits = _one_by_one(network, query, images, masks)
    return logits


def _one_by_one(network: FewShotSegmenter, query: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    each = [network.encode(image.unsqueeze(0)) for image in images]
    support = tuple(torch.stack(levels, dim=1) for levels in zip(*each, strict=True))
    return network.decode(network.encode(query), support, masks.float().unsqueeze(0))
