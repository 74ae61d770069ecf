"""Letters burnt into a film."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from medtap.chance import pick
from medtap.pretraining.cohort import Cohort

_LETTERS = [
    torch.tensor([[pixel == "#" for pixel in row] for row in glyph.split()]).float()
    for glyph in (
        "###.. #..#. #..#. ###.. #.#.. #..#. .....",
        "#.... #.... #.... #.... #.... ####. .....",
        ".##.. #..#. #..#. ####. #..#. #..#. .....",
        "###.. #..#. #..#. ###.. #.... #.... .....",
        ".#... ##... .#... .#... .#... ###.. .....",
    )
]
"""The letters R, L, A, P and 1 that markers are made of, 7 rows of 5 pixels."""


def marked(shown: Tensor, cohort: Cohort) -> Tensor:
    """Burn a side letter or a line of letters, bright or boxed, into a corner of pictures [n,S,S]."""
    size, word = cohort.size, [pick(0, 4, cohort.generator) for _ in range(pick(0, 2, cohort.generator) ** 2 + 1)]
    height = max(7, round(size * cohort.between(0.03, 0.1) / len(word) ** 0.5))
    bits = torch.cat([_LETTERS[index] for index in word], dim=1)
    text = F.interpolate(bits[None, None], (height, height * len(word)), mode="bilinear")[0, 0]
    floor = float(pick(0, 3, cohort.generator) == 0) * (text < 2)
    right, top = pick(0, 1, cohort.generator), cohort.between(0.02, 0.3)
    for picture in shown:
        row = int((top + cohort.between(0, 0.06)) * size)
        column = int(cohort.between(0.02, 0.12) * size)
        column = size - column - text.shape[1] if right else column
        patch = picture[row : row + text.shape[0], column : column + text.shape[1]]
        patch.copy_(torch.maximum(patch * (1 - floor), text))
    return shown
