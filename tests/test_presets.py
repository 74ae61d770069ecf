"""Named settings of the adaptation."""

from __future__ import annotations

import pytest

from medtap.adaptation import TapOptions
from medtap.adapters import Lora
from medtap.errors import OptionError
from medtap.presets import use_preset


def test_own_preset_is_the_defaults() -> None:
    assert use_preset("medtap") == (Lora(), TapOptions())


def test_paper_s_preset_is_plain() -> None:
    adapter, options = use_preset("paper", seed=3)
    assert adapter == Lora(rank=64, dropout=0.1)
    assert (options.schedule, options.passes, options.learning_rate, options.seed) == ("per_support", 8, 1e-3, 3)
    assert (options.rates, options.augment, options.average, options.guard) == ("even", "none", 0, "none")


def test_what_is_given_replaces_the_preset() -> None:
    adapter, options = use_preset("paper", "lora", {"rank": 8, "alpha": None}, passes=2, learning_rate=None)
    assert adapter == Lora(rank=8, dropout=0.1)
    assert (options.passes, options.learning_rate) == (2, 1e-3)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(OptionError, match="unknown option 'pases'"):
        use_preset("medtap", pases=2)
    with pytest.raises(OptionError, match="unknown option 'rnk'"):
        use_preset("medtap", adapter={"rnk": 2})


def test_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no preset is called 'papers'.*did you mean paper"):
        use_preset("papers")
