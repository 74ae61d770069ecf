"""An adapted network that segments by subsets of its support set too."""

from __future__ import annotations

import pytest
import torch

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora
from medtap.ensembles import support_subsets
from medtap.errors import OptionError
from medtap.networks.classes import recall_classes
from tests.tiny import as_torchscript, random_images, support_set, tiny_network


def adapted(shots: int = 5, classes: int = 2, subsets: int = 0) -> AdaptedSegmenter:
    network = take_a_peek(tiny_network(), support_set(shots, classes), Lora(rank=2), TapOptions(passes=1))
    network.subsets = subsets
    return network


def logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(images)


@pytest.mark.parametrize(("shots", "subsets"), [(5, 5), (5, 7), (2, 1), (3, 3)])
def test_it_is_the_mean_of_the_whole_set_and_each_subset(shots: int, subsets: int) -> None:
    network, images = adapted(shots), random_images(3, 70, 50)
    with torch.no_grad():
        query = network.network.encode(images)
        members = [recall_classes(network.network, query, network.memory, images.shape[-2:])]
        for subset in support_subsets(shots, subsets):
            memory = tuple(kept[:, subset] for kept in network.memory)
            members.append(recall_classes(network.network, query, memory, images.shape[-2:]))
    expected = torch.stack(members).softmax(2).mean(0)
    network.subsets = subsets
    torch.testing.assert_close(logits(network, images).exp(), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(members[0], members[1])


def test_each_image_is_encoded_once() -> None:
    network, seen = adapted(subsets=4), []
    network.network.encoder.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    logits(network, random_images(3))
    assert seen == [3]


def test_it_comes_out_the_same_each_time_and_alone() -> None:
    network, images = adapted(subsets=3), random_images(3)
    at_once = logits(network, images)
    assert torch.equal(logits(network, images), at_once)
    alone = torch.cat([logits(network, image[None]) for image in images])
    torch.testing.assert_close(alone, at_once, atol=1e-5, rtol=1e-4)


def test_none_is_the_default_and_subsets_are_not_saved() -> None:
    network = adapted(subsets=3)
    assert AdaptedSegmenter.blank(tiny_network(), ("one",)).subsets == 0
    assert network.state_dict().keys() == adapted().state_dict().keys()
    network.subsets = 0
    assert torch.equal(logits(network, random_images(1)), logits(adapted(), random_images(1)))


def test_more_subsets_than_there_are_are_refused() -> None:
    with pytest.raises(OptionError, match="expected 0 to 2 subsets of 2 shots; found 3"):
        logits(adapted(2, subsets=3), random_images(1))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_it_for_any_batch() -> None:
    network, images = adapted(3, subsets=3), random_images(2, seed=9)
    torch.testing.assert_close(logits(as_torchscript(network), images), logits(network, images), atol=1e-5, rtol=1e-4)
