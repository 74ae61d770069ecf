"""A network on a new encoder that begins where a trained one is."""

from __future__ import annotations

import pytest
import torch

from medtap.errors import WeightsError
from medtap.networks.dense_attention import DenseAttentionSegmenter
from medtap.pretraining.teacher import learn_from
from tests.networks.tiny_lite import tiny_lite
from tests.tiny import random_images, tiny_encoder, tiny_network


def test_laterals_of_the_same_backbone_are_found_again() -> None:
    teacher, network = tiny_lite(0).eval(), tiny_lite(1)
    backbone = {name: value for name, value in teacher.encoder.state_dict().items() if "laterals" not in name}
    network.encoder.load_state_dict(backbone, strict=False)
    explained = learn_from(network, teacher, (random_images(4, seed=seed) for seed in range(30)))
    assert min(explained) > 0.999
    query, support, masks = random_images(1, seed=99), random_images(1, seed=98)[None], torch.ones(1, 1, 64, 64)
    masks[..., :20] = 0
    with torch.no_grad():
        torch.testing.assert_close(network(query, support, masks), teacher(query, support, masks), atol=1e-2, rtol=1e-2)


def test_what_is_told_of_another_encoder_is_what_its_laterals_explain() -> None:
    teacher, network = tiny_network(), tiny_lite()
    images = [random_images(4, seed=seed) for seed in range(4)]
    explained = learn_from(network, teacher, images)
    assert all(0 < share < 1 for share in explained)
    with torch.no_grad():
        every = torch.cat(images)
        for own, theirs, share in zip(network.encode(every), teacher.encode(every), explained, strict=True):
            spread = (theirs - theirs.mean((0, 2, 3), keepdim=True)).square().sum()
            assert 1 - float((own - theirs).square().sum() / spread) == pytest.approx(share, abs=1e-3)
    head = {name: value for name, value in teacher.state_dict().items() if not name.startswith("encoder.")}
    assert all(torch.equal(network.state_dict()[name], value) for name, value in head.items())
    assert network.training


def test_an_encoder_without_laterals_and_another_head_are_refused() -> None:
    with pytest.raises(WeightsError, match="no laterals to fit"):
        learn_from(tiny_network(), tiny_network(), [])
    wide = DenseAttentionSegmenter(tiny_encoder(), width=32)
    with pytest.raises(WeightsError, match="does not fit"):
        learn_from(tiny_lite(), wide, [])
