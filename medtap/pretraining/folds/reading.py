"""A fold read from a folder of Pascal or COCO: what to train on, and what validates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from medtap.errors import InputError, OptionError
from medtap.pretraining.folds.classes import CLASSES, FOLDS, base_classes, novel_classes
from medtap.pretraining.folds.coco import read_coco
from medtap.pretraining.folds.episodes import FoldEpisodes
from medtap.pretraining.folds.index_masks import read_pascal

_READERS = {"pascal": read_pascal, "coco": read_coco}
_SUBSETS = {"pascal": "train", "coco": "train2014"}


@dataclass(frozen=True)
class FoldOptions:
    """A fold in a recipe. Its test classes are background wherever they are seen, as in HSNet, PFENet and DCAMA.

    Attributes:
        folder: holds what the layout needs, see `read_pascal` and `read_coco`; relative to where the command runs;
            empty where no mix needs it.
        layout: ``pascal`` (Pascal-5i) or ``coco`` (COCO-20i).
        fold: whose classes are kept for testing, 0 to 3.
        subset: the photographs to train on; None for VOC's ``train`` and for ``train2014``.
        least_pixels: of a class in a photograph that is drawn for it; 2 x 32 x 32 in PFENet and BAM.
        leave_out_novel: leave out photographs that show a test class, as BAM does.
        mirrored: whether photographs are mirrored at random.
        hold_out_every: every so many photographs, one is kept for validation; 0 keeps none.
    """

    folder: str = ""
    layout: str = "pascal"
    fold: int = 0
    subset: str | None = None
    least_pixels: int = 2048
    leave_out_novel: bool = False
    mirrored: bool = False
    hold_out_every: int = 50

    def __post_init__(self) -> None:
        every = self.hold_out_every
        wrong = [
            text
            for text, right in (
                (f"a layout of {' or '.join(CLASSES)}, not {self.layout!r}", self.layout in CLASSES),
                (f"a fold of 0 to {FOLDS - 1}, not {self.fold}", self.fold in range(FOLDS)),
                (f"at least 1 pixel of a class, not {self.least_pixels}", self.least_pixels >= 1),
                (f"a hold_out_every of 0 or above 1, not {every}", every == 0 or every > 1),
            )
            if not right
        ]
        if wrong:
            raise OptionError("a fold that cannot be", expected="; ".join(wrong))


def read_fold(options: FoldOptions) -> tuple[FoldEpisodes, FoldEpisodes]:
    """Read a fold's photographs.

    Args:
        options: with a folder.

    Returns:
        The episodes to train on, and those of photographs held out, of the same classes.

    Raises:
        InputError: a file is missing or damaged, or no photograph shows enough of a training class.
    """
    base, novel = base_classes(options.layout, options.fold), novel_classes(options.layout, options.fold)
    folder = Path(options.folder)
    read = _READERS[options.layout](folder, options.subset or _SUBSETS[options.layout])
    pictures = [picture for picture in read if not (options.leave_out_novel and novel & picture.areas.keys())]
    every = options.hold_out_every
    kept = [every > 0 and index % every == 0 for index in range(len(pictures))]
    train, held_out = (
        FoldEpisodes.of(list(compress(pictures, chosen)), base, options.least_pixels, mirrored=options.mirrored)
        for chosen in ([not each for each in kept], kept)
    )
    if not train.members:
        raise InputError(
            "no photograph shows enough of a class to train on",
            file=folder,
            expected=f"at least {options.least_pixels} pixels of one of {len(base)} classes",
            found=f"{len(pictures)} photographs",
        )
    return train, held_out
