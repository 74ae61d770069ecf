"""Heads of the zoo meta-trained on a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from medtap.errors import OptionError
from medtap.networks.bam import BamSegmenter
from medtap.networks.dmtnet import DmtnetSegmenter
from medtap.networks.hsnet import HsnetSegmenter
from medtap.networks.patnet import PatnetSegmenter
from medtap.networks.pfenet import PfenetSegmenter
from medtap.networks.segmenter import FewShotSegmenter
from medtap.pretraining import meta_train
from medtap.pretraining.episodes import Stage, TaskStream
from medtap.pretraining.families import SCENES
from medtap.pretraining.meta_train import MetaTrainer, MetaTrainOptions
from medtap.pretraining.trained_part import choose_trained
from tests.networks.official_hypercorrelation import HEAD, tiny_blocks
from tests.networks.official_prior_guided import BINS, WIDTH, tiny_encoder
from tests.networks.test_ssp import tiny_ssp
from tests.networks.tiny_blocks import blank_dcama
from tests.tiny import tiny_network

HEADS: dict[str, Callable[[], FewShotSegmenter]] = {
    "dcama": lambda: blank_dcama("resnet50"),
    "dcama-swin": lambda: blank_dcama("swin-b"),
    "hsnet": lambda: HsnetSegmenter(tiny_blocks(), HEAD),
    "patnet": lambda: PatnetSegmenter(tiny_blocks(), HEAD),
    "dmtnet": lambda: DmtnetSegmenter(tiny_blocks(), HEAD),
    "pfenet": lambda: PfenetSegmenter(tiny_encoder(), WIDTH, BINS),
    "bam": lambda: BamSegmenter(tiny_encoder(), WIDTH),
    "medtap": lambda: tiny_network(),
}


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_trained_on_a_frozen_encoder_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(meta_train, "has_bfloat16", lambda _: True)
    network = HEADS[head]()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    options = MetaTrainOptions(train="head", workers=0)
    stream = TaskStream((Stage(1, 64, pictures=4, images=[2], learning_rate=1.0),), 0, SCENES)
    trained = MetaTrainer(network, stream, options, tmp_path).run(lambda _: {})
    for state in (network.state_dict(), trained.state_dict()):
        changed = {name for name, value in state.items() if not torch.equal(value, before[name])}
        assert changed
        assert not any(name.startswith("encoder.") for name in changed)


def test_head_s_optimizer_and_modes_leave_the_encoder_out(tmp_path: Path) -> None:
    network = tiny_network()
    options = MetaTrainOptions(train="head", workers=0)
    made = MetaTrainer(network, TaskStream((Stage(1, 32),), 0, SCENES), options, tmp_path)
    held = {id(parameter) for group in made.optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in made.trained}
    encoder = {id(parameter) for parameter in network.encoder.parameters()}
    assert held == {id(parameter) for parameter in network.parameters()} - encoder
    assert network.training
    assert not any(module.training for module in network.encoder.modules())


def test_adapting_first_leaves_a_frozen_encoder_frozen(tmp_path: Path) -> None:
    network = tiny_network()
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    options = MetaTrainOptions(train="head", bfloat16=False, workers=0)
    stream = TaskStream((Stage(2, 32, pictures=4, images=[4], passes=1, learning_rate=1.0),), 0, SCENES)
    made = MetaTrainer(network, stream, options, tmp_path)
    made.run(lambda _: {})
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert made.peek.learned


def test_all_trains_every_weight() -> None:
    network = tiny_network()
    assert len(choose_trained(network, "all")) == len(list(network.parameters()))
    assert network.encoder.training


def test_a_head_without_weights_is_refused() -> None:
    network = tiny_ssp()
    network.name = "ssp"
    with pytest.raises(OptionError, match="the head of 'ssp' has no weights to train; expected train: all"):
        choose_trained(network, "head")


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(OptionError, match=r"no part to train is called 'heads'; .*did you mean head"):
        MetaTrainOptions(train="heads")
