"""The numbers of a low-rank change of weights, checked alone and against an encoder."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from medtap.adapters.targets import choose_targets, is_pointwise
from medtap.errors import OptionError


def check_numbers(method: str, rank: int, alpha: float | None, dropout: float = 0.0) -> None:
    """Refuse numbers that no encoder can take, all at once.

    Raises:
        OptionError: rank is below 1, alpha is not above 0, or dropout lies outside [0, 1).
    """
    wrong = [
        text
        for text, right in (
            (f"a rank of at least 1, not {rank}", rank >= 1),
            (f"an alpha above 0, not {alpha}", alpha is None or alpha > 0),
            (f"a dropout in [0, 1), not {dropout}", 0 <= dropout < 1),
        )
        if not right
    ]
    if wrong:
        raise OptionError(f"{method} cannot have these numbers", expected="; ".join(wrong))


def choose_low_rank(
    encoder: nn.Module, targets: str, rank: int, can_change: Callable[[nn.Module], bool] = is_pointwise
) -> list[str]:
    """Names of the layers to adapt, see ``choose_targets``, of which at least one can have the rank.

    Narrow layers of an encoder take a rank above their own size beside wider ones: their change is then of full rank.

    Raises:
        OptionError: the targets match no layer, or the rank is above the smaller side of the weight [Co, Ci*k*k] of
            every layer that they match.
    """
    names = choose_targets(encoder, targets, can_change)
    largest, name = max((_largest_rank(encoder.get_submodule(name)), name) for name in names)
    if rank > largest:
        raise OptionError(
            f"a rank of {rank} is above what any layer to adapt can have",
            expected=f"a rank of at most {largest}, the largest that {name!r} can have",
        )
    return names


def _largest_rank(layer: nn.Module) -> int:
    return min(layer.get_parameter("weight").flatten(1).shape)
