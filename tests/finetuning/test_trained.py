"""What is trained: the adapter alone, through a support set where the network looks at one."""

from __future__ import annotations

import pytest
import torch

from medtap.adapters import ConvLora, Lora
from medtap.errors import OptionError
from medtap.finetuning.losses import LOSSES
from medtap.finetuning.optimisers import make_optimiser, orchestration_parameters, polynomial_decay
from medtap.finetuning.options import FinetuneOptions
from medtap.finetuning.trained import TrainedSegmenter, TrainingLoss
from tests.networks.tiny_sam import tiny_sam
from tests.tiny import random_images, random_masks, support_set, tiny_network


def test_support_set_counts_and_is_digested_once_in_evaluation() -> None:
    model = TrainedSegmenter(tiny_network(), Lora(rank=2), support_set(3))
    other = TrainedSegmenter(tiny_network(), Lora(rank=2), support_set(3, seed=5))
    images = random_images(2)
    encode, seen = model.network.encode, []
    model.network.encode = lambda pictures: (seen.append(len(pictures)), encode(pictures))[1]
    with torch.no_grad():
        first = model(images)
        assert not torch.equal(first, other(images))
        assert torch.equal(model(images), first)
    assert sorted(seen) == [2, 2, 3]
    model.train()(images)
    model(images)
    assert seen.count(3) == 3


def test_sam_encodes_no_support_image() -> None:
    model = TrainedSegmenter(tiny_sam(), Lora(rank=2), support_set(3))
    one = model(random_images(1))
    two = TrainedSegmenter(tiny_sam(), Lora(rank=2), support_set(3, seed=5))(random_images(1))
    assert torch.equal(one, two)
    with pytest.raises(OptionError, match="without a branch"):
        TrainedSegmenter(tiny_sam(), Lora(), support_set(3, classes=2))
    with pytest.raises(OptionError, match="one of 3 classes; found one of 2"):
        TrainedSegmenter(tiny_sam(classes=2), Lora(), support_set(3, classes=3))


def test_training_mode_is_the_adapter_s_alone() -> None:
    model = TrainedSegmenter(tiny_network(), Lora(rank=2, dropout=0.5), support_set(2))
    model.train()
    training = {name for name, module in model.network.named_modules() if module.training}
    assert any("dropout" in name for name in training)
    assert not any(isinstance(model.network.get_submodule(name), torch.nn.LayerNorm) for name in training)
    model.eval()
    assert not model.training
    assert not any(name.endswith("lora_dropout.tap") and module.training for name, module in model.named_modules())


def test_loss_adds_what_the_adapter_adds() -> None:
    model = TrainedSegmenter(tiny_sam(), ConvLora(), support_set(2)).train()
    labels, logits = random_masks(2).unsqueeze(1), model(random_images(2))
    added = model.attached.auxiliary_loss()
    assert float(added) > 0
    total = TrainingLoss(LOSSES["structure"], model.attached)(logits, labels)
    torch.testing.assert_close(total, LOSSES["structure"](logits, labels) + added)


def test_optimiser_has_the_adapter_s_parameters_and_no_other() -> None:
    model = TrainedSegmenter(tiny_network(), Lora(rank=2), support_set(2))
    optimiser = make_optimiser(model.network, model.attached, FinetuneOptions(orchestration_rate=1.0))
    held = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model.attached.parameters()}
    assert orchestration_parameters(model.network) == set()
    (group,) = optimiser.param_groups
    assert (type(optimiser).__name__, group["lr"], group["weight_decay"]) == ("AdamW", 1e-4, 1e-4)
    schedule = polynomial_decay(optimiser, 10, 0)
    assert schedule.lr_lambdas[0](9) == 1
