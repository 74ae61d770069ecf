"""The frozen parts of an encoder, computed once for pictures that are encoded again and again.

Below its first adapted layer an encoder gives the same for the same pictures in every pass. So while an adapter is
trained, each largest part without a parameter to train keeps what it was given and what it gave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves

_KEPT = 3  # results a part: of the pictures trained on, and of those that a guard looks at


class _Result(NamedTuple):
    """What a part gave for its arguments, good until one of them is changed in place."""

    arguments: tuple[Any, ...]
    output: Any
    versions: list[int]

    @classmethod
    def of(cls, arguments: tuple[Any, ...], output: Any) -> _Result:
        return cls(arguments, output, _versions([arguments, output]))

    def serves(self, arguments: tuple[Any, ...]) -> bool:
        unchanged = self.versions == _versions([self.arguments, self.output])
        return unchanged and _alike(self.arguments, arguments)


@contextmanager
def frozen_parts_kept(module: nn.Module) -> Iterator[None]:
    """Within, frozen parts of a module give again what they gave for the same tensors: the same bits, only sooner.

    Args:
        module: in evaluation, so that what a part gives depends on its input alone. A part whose input needs a gradient
            is computed as ever.
    """
    parts = list(frozen_parts(module))
    for part in parts:
        part.forward = _Kept(part)
    try:
        yield
    finally:
        for part in parts:
            del part.forward


def frozen_parts(module: nn.Module) -> Iterator[nn.Module]:
    """The largest parts that have parameters, none of which is trained, and that are called as a whole."""
    flags = {parameter.requires_grad for parameter in module.parameters()}
    if flags == {False} and not isinstance(module, nn.ModuleList | nn.ModuleDict):
        yield module
    elif flags:
        for child in module.children():
            yield from frozen_parts(child)


class _Kept:
    """The forward of a part that remembers its last results, unless hooks inside of it want to see it run."""

    def __init__(self, part: nn.Module) -> None:
        self.forward, self.inside = part.forward, [module for module in part.modules() if module is not part]
        self.results: deque[_Result] = deque(maxlen=_KEPT)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named or self._is_watched() or not all(map(_can_be_kept, arguments)):
            return self.forward(*arguments, **named)
        for result in self.results:
            if result.serves(arguments):
                return result.output
        output = self.forward(*arguments)
        # without gradients nothing tells an input that never changes, but by its having been kept before
        if self.results or torch.is_grad_enabled():
            self.results.append(_Result.of(arguments, output))
        return output

    def _is_watched(self) -> bool:
        return any(module._forward_hooks for module in self.inside)


def _can_be_kept(value: object) -> bool:
    tensors = (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
    return not any(tensor.requires_grad or tensor.is_inference() for tensor in tensors)


def _versions(values: Any) -> list[int]:
    """How often each tensor, of whatever holds them, was changed in place."""
    return [value._version for value in tree_leaves(values) if isinstance(value, Tensor)]


def _alike(kept: tuple[Any, ...], given: tuple[Any, ...]) -> bool:
    (own, form), (other, other_form) = tree_flatten(kept), tree_flatten(given)
    return form == other_form and all(_same(*pair) for pair in zip(own, other, strict=True))


def _same(kept: object, given: object) -> bool:
    if isinstance(kept, Tensor) and isinstance(given, Tensor):
        return kept is given or (kept.shape == given.shape and kept.dtype == given.dtype and torch.equal(kept, given))
    return type(kept) is type(given) and kept == given
