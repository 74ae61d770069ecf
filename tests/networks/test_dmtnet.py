"""DMTNet: both branches' published logits, and the split of a query by the cells of a shot."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from medtap.networks.anchors import masked_prototypes
from medtap.networks.checkpoints.dmtnet import DMTNET
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.dmtnet import DmtnetSegmenter, cells, foreground_lean, query_prototypes
from medtap.networks.segmenter import unfold_shots
from tests.networks.official_hypercorrelation import HEAD, official_weights, tiny_blocks
from tests.networks.plain_hypercorrelation import plain_blocks, plain_dmtnet, plain_guess
from tests.tiny import random_images, random_masks


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(128, 128), (137, 170)])
def test_official_weights_give_the_published_logits_of_both_branches(height: int, width: int) -> None:
    weights, rules = official_weights(anchors=6), DMTNET["resnet50"]
    network = DmtnetSegmenter(tiny_blocks(), HEAD).eval()
    assert unknown_names(weights, rules) == []
    network.load_state_dict(translate(weights, rules))
    query, support = random_images(1, height, width, 9), random_images(1, height, width, 1)
    mask = random_masks(1, 1, height, width).float()
    memory = network.remember(unfold_shots(network.encode(support), 1), mask.unsqueeze(0))
    found = [recall(network.encode(query), memory) for recall in (network.recall, network.recall_background)]
    published = plain_dmtnet(weights, plain_blocks(weights, query), plain_blocks(weights, support), mask)
    for logits, expected in zip((network.resize(each, (height, width)) for each in found), published, strict=True):
        expected = F.interpolate(expected, (height, width), mode="bilinear", align_corners=True)
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


@pytest.mark.parametrize(
    ("side", "spans"),
    [
        (8, [(0, 2), (2, 4), (4, 6), (6, 8)]),
        (13, [(0, 3), (3, 6), (6, 9), (9, 12), (10, 13)]),
        (50, [(0, 12), (12, 24), (24, 36), (36, 48), (38, 50)]),
        (2, [(0, 1), (1, 2)]),
    ],
)
def test_cells_cover_a_side(side: int, spans: list[tuple[int, int]]) -> None:
    assert [(row.nonzero().min().item(), row.nonzero().max().item() + 1) for row in cells(side)] == spans
    assert cells(side).sum(1).tolist() == [end - start for start, end in spans]


def test_the_query_is_split_as_by_cosines_to_every_cell() -> None:
    torch.manual_seed(0)
    query, support, mask = torch.randn(1, 6, 9, 11), torch.randn(1, 6, 9, 13), torch.rand(1, 1, 9, 13).round()
    mask[..., :4] = 0  # cells without any foreground
    lean = foreground_lean(support.unsqueeze(1), mask.unsqueeze(1))[:, 0]
    guess = plain_guess(query, support, mask)
    assert 0 < guess.mean() < 1
    torch.testing.assert_close(query_prototypes(query, lean), masked_prototypes(query, guess))


def test_the_split_has_no_gradient_of_its_own() -> None:
    support = torch.randn(1, 1, 4, 8, 8, requires_grad=True)
    assert not foreground_lean(support, torch.rand(1, 1, 1, 8, 8)).requires_grad
