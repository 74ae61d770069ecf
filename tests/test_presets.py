"""Named settings of the adaptation."""

from __future__ import annotations

import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import ADAPTERS, DecoderTuning, Joined, Lora
from medtap.errors import OptionError
from medtap.presets import PRESETS, Preset, use_preset


def test_own_preset_is_the_defaults() -> None:
    assert use_preset("medtap") == (Lora(), TapOptions())


def test_paper_s_preset_is_plain() -> None:
    adapter, options = use_preset("paper", seed=3)
    assert adapter == Lora(rank=64, dropout=0.1)
    assert (options.schedule, options.passes, options.learning_rate, options.seed) == ("per_support", 8, 1e-3, 3)
    assert (options.rates, options.augment, options.average, options.guard) == ("even", "none", 0, "none")
    assert options.loss == "focal"


def test_head_s_preset_trains_the_head_too_in_the_same_steps() -> None:
    adapter, options = use_preset("head", adapter={"rank": 4})
    assert adapter == Joined((Lora(rank=4), DecoderTuning()))
    assert options == TapOptions(closing=4, forgiven=0.01)


def test_thorough_preset_trains_the_head_too_unless_a_method_is_given() -> None:
    adapter, options = use_preset("thorough")
    assert (adapter.name, options.augment, options.guard) == ("lora+decoder", "upright", "held_out_masks")
    assert (options.loss, options.rates) == ("dice_ce", "even")
    assert options.passes == 10 * TapOptions().passes
    assert use_preset("thorough", "lora") == (Lora(), options)


def test_what_is_given_replaces_the_preset() -> None:
    adapter, options = use_preset("paper", "lora", {"rank": 8, "alpha": None}, passes=2, learning_rate=None)
    assert adapter == Lora(rank=8, dropout=0.1)
    assert (options.passes, options.learning_rate) == (2, 1e-3)


def test_learning_rate_of_a_method_is_the_preset_s_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "mine", Preset({"learning_rate": 0.5}, learning_rates={"svf": 0.02}))
    assert use_preset("mine", "svf")[1].learning_rate == 0.02
    assert use_preset("mine", "svf", learning_rate=0.03)[1].learning_rate == 0.03
    assert use_preset("mine", "ia3")[1].learning_rate == 0.5


def test_learning_rates_are_of_known_methods() -> None:
    for preset in PRESETS.values():
        assert preset.learning_rates.keys() <= ADAPTERS.keys()
    assert "lora" not in PRESETS["medtap"].learning_rates


def test_unknown_options_are_refused() -> None:
    with pytest.raises(OptionError, match="unknown option 'pases'"):
        use_preset("medtap", pases=2)
    with pytest.raises(OptionError, match="unknown option 'rnk'"):
        use_preset("medtap", adapter={"rnk": 2})


def test_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no preset is called 'papers'.*did you mean paper"):
        use_preset("papers")
