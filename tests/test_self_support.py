"""An adapted network that takes an image with its own prediction for one more shot."""

from __future__ import annotations

import pytest
import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora
from medtap.errors import OptionError
from medtap.workflows import SegmentOptions
from tests.networks.tiny_sam import tiny_sam
from tests.tiny import SIZE, as_torchscript, random_images, support_set, tiny_network


def adapted(shots: int = 3, classes: int = 2, **how: object) -> AdaptedSegmenter:
    network = take_a_peek(tiny_network(), support_set(shots, classes), Lora(rank=2), TapOptions(passes=1))
    SegmentOptions(**how).set_on(network)
    return network


def logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(images)


@pytest.mark.parametrize(("shots", "classes"), [(1, 1), (3, 2)])
@torch.no_grad()
def test_each_image_is_one_more_shot_of_its_own(shots: int, classes: int) -> None:
    network, support, images = adapted(shots, classes), support_set(shots, classes), random_images(3, seed=7)
    found = logits(network, images).softmax(1)
    network.self_support = True
    seen = logits(network, images)
    for index, image in enumerate(images):
        shown = torch.cat([support.images, image[None]]).unsqueeze(0)
        for label in range(1, classes + 1):
            masks = torch.cat([(support.masks == label).float(), found[index : index + 1, label]]).unsqueeze(0)
            binary = network.network(image[None], shown, masks)[0]
            torch.testing.assert_close(seen[index, label], binary[1] - binary[0], atol=2e-3, rtol=2e-3)
    assert not torch.allclose(seen.softmax(1), found)


def test_subsets_find_what_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    images, shown = random_images(2), []
    together = logits(adapted(subsets=3), images)
    monkeypatch.setattr("medtap.adapted.recall_by_itself", lambda *given: shown.append(given[3]) or given[3])
    assert torch.equal(logits(adapted(self_support=True, subsets=3), images), together)
    assert torch.equal(shown[0], together)


def test_each_image_is_encoded_once_and_comes_out_the_same_alone() -> None:
    network, images, seen = adapted(self_support=True), random_images(3), []
    network.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    at_once = logits(network, images)
    assert seen == [3]
    alone = torch.cat([logits(network, image[None]) for image in images])
    torch.testing.assert_close(alone, at_once, atol=1e-5, rtol=1e-4)


def test_off_is_the_default_and_it_is_not_saved() -> None:
    assert not AdaptedSegmenter.blank(tiny_network(), ("one",)).self_support
    assert adapted(self_support=True).state_dict().keys() == adapted().state_dict().keys()


def test_another_size_than_the_support_set_s_is_refused() -> None:
    with pytest.raises(OptionError, match=f"support set's size alone; expected {SIZE} x {SIZE} px; found 96 x {SIZE}"):
        logits(adapted(self_support=True), random_images(1, 96, SIZE))


def test_a_network_that_looks_at_no_support_image_is_refused() -> None:
    network = take_a_peek(tiny_sam(), support_set(2), Lora(rank=2), TapOptions(passes=1))
    with pytest.raises(OptionError, match="'sam' looks at no support image: no image can support itself"):
        SegmentOptions(self_support=True).refuse_unfit(2, network.network)
    SegmentOptions().refuse_unfit(2, network.network)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_it_for_any_batch() -> None:
    network, images = adapted(self_support=True), random_images(2, seed=9)
    torch.testing.assert_close(logits(as_torchscript(network), images), logits(network, images), atol=1e-5, rtol=1e-4)
