"""Episodes of a fold: one of its training classes in several photographs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick
from medtap.errors import InputError
from medtap.pretraining.folds.pictures import Picture
from medtap.pretraining.synthetic import Task


@dataclass(frozen=True)
class FoldEpisodes:
    """Photographs of a fold's training classes, read from their files as they are drawn.

    Attributes:
        pictures: all of them.
        members: by label, which pictures show enough of that class.
        mirrored: whether a picture drawn may be mirrored.
    """

    pictures: tuple[Picture, ...]
    members: dict[int, tuple[int, ...]]
    mirrored: bool = False

    @classmethod
    def of(
        cls, pictures: Sequence[Picture], classes: Collection[int], least_pixels: int, *, mirrored: bool = False
    ) -> FoldEpisodes:
        """The episodes of some classes.

        Args:
            pictures: to draw from.
            classes: labels to draw tasks of; whatever else the pictures show is background.
            least_pixels: of a class, in a picture that is drawn for it.
            mirrored: whether a picture drawn may be mirrored.
        """
        members = {
            label: tuple(index for index, picture in enumerate(pictures) if picture.areas.get(label, 0) >= least_pixels)
            for label in sorted(classes)
        }
        return cls(tuple(pictures), {label: where for label, where in members.items() if where}, mirrored)

    def shown(self, n: int) -> list[int]:
        """The classes that at least n pictures show."""
        return [label for label, where in self.members.items() if len(where) >= n]

    def task(self, n: int, size: int, generator: Generator) -> Task:
        """Draw n photographs of one class, all classes alike, stretched to squares.

        Args:
            n: pictures.
            size: S, the side in pixels.
            generator: source of chance.

        Returns:
            Images [n,3,S,S] in [0,1] and masks [n,S,S] in {0,1}.

        Raises:
            InputError: no class is seen in n photographs.
        """
        enough = self.shown(n)
        if not enough:
            raise InputError(f"no class is seen in {n} photographs", remedy="read more, or draw fewer images a task")
        label = enough[pick(0, len(enough) - 1, generator)]
        order = torch.randperm(len(self.members[label]), generator=generator)[:n].tolist()
        views = [self._view(self.members[label][index], label, size, generator) for index in order]
        images, masks = (torch.stack(part) for part in zip(*views, strict=True))
        return images, masks

    def _view(self, index: int, label: int, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
        pixels, mask = self.pictures[index].read(label)
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).unsqueeze(0).float() / 255
        image = F.interpolate(image, (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)
        where = torch.from_numpy(mask.copy())[None, None].float()
        where = F.interpolate(where, (size, size), mode="nearest-exact")[0, 0]
        if self.mirrored and pick(0, 1, generator):
            return image.flip(-1), where.flip(-1)
        return image, where
