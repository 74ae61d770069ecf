"""Options and recipes of the training on a folder."""

from __future__ import annotations

import pytest

from medtap.errors import OptionError
from medtap.finetuning import RECIPES, FinetuneOptions, use_recipe


def test_recipes_are_the_papers() -> None:
    paper = use_recipe("conv_lora")
    assert (paper.optimiser, paper.learning_rate, paper.weight_decay, paper.flips) == ("adamw", 1e-4, 1e-4, True)
    assert paper.power > 0
    medical = use_recipe("cobot_medical")
    assert (medical.optimiser, medical.learning_rate, medical.orchestration_rate) == ("adam", 1.25e-6, 1.25e-4)
    assert (use_recipe("cobot").learning_rate, use_recipe("cobot").loss) == (1e-4, "bce_dice")


def test_what_is_given_replaces_the_recipe_s() -> None:
    assert use_recipe("cobot", epochs=3, learning_rate=None, seed=0) == use_recipe("cobot", epochs=3)
    assert {use_recipe(name, epochs=7).epochs for name in RECIPES} == {7}


def test_loss_depends_on_the_number_of_classes() -> None:
    assert [FinetuneOptions().loss_for(classes) for classes in (1, 3)] == ["structure", "dice_ce"]
    assert FinetuneOptions(loss="bce_dice").loss_for(3) == "bce_dice"
    with pytest.raises(OptionError, match="the structure loss is of one class"):
        FinetuneOptions(loss="structure").loss_for(2)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(OptionError, match=r"1 epoch, not 0; .*an optimiser .*'sgd'; .*above 0.*; .*held out") as raised:
        FinetuneOptions(epochs=0, optimiser="sgd", learning_rate=-1, held_out=1.0)
    assert "batch" not in str(raised.value)
    with pytest.raises(OptionError, match="did you mean cobot"):
        use_recipe("cobbot")
    with pytest.raises(OptionError, match="did you mean 'epochs'"):
        use_recipe("cobot", epoch=1)
