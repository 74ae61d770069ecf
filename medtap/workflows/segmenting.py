"""How new images are segmented, whoever asks: the command line, Python, or a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from medtap.adapted import AdaptedSegmenter
from medtap.ensembles import FLIPS, support_subsets
from medtap.errors import OptionError
from medtap.inference import input_size
from medtap.networks.segmenter import FewShotSegmenter
from medtap.options import refuse_unknown_choice
from medtap.workflows.clean import CLEANING, cleaning_note


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment.

    Attributes:
        clean: how masks are cleaned, a name in `medtap.workflows.clean.CLEANING`.
        flips: mirror images whose predictions are averaged, a name in `medtap.ensembles.FLIPS`.
        subsets: how many subsets of the support set segment too, averaged with the whole; 0 for the whole alone.
        self_support: whether each image is then segmented once more, its own prediction as one more shot; not with
            ``query_size``.
        query_size: side in pixels of the network's input; that of the support set when None.
        presence: whether a class is left out of planes that the support set tells not to show it, where it can tell.
    """

    clean: str = "none"
    flips: str = "none"
    subsets: int = 0
    self_support: bool = False
    query_size: int | None = None
    presence: bool = True

    def __post_init__(self) -> None:
        refuse_unknown_choice("unknown way of cleaning", self.clean, CLEANING)
        refuse_unknown_choice("unknown flips", self.flips, FLIPS)
        if self.subsets < 0:
            raise OptionError("subsets of the support set cannot be fewer than none", found=str(self.subsets))
        if self.self_support and self.query_size is not None:
            remedy = "adapt with --size instead of --query-size, or leave out --self-support"
            raise OptionError("an image supports itself at the support set's size alone", remedy=remedy)
        input_size(self.query_size, 0)

    def refuse_unfit(self, shots: int, network: FewShotSegmenter) -> None:
        """Refuse what a network with a support set of K shots cannot do.

        Raises:
            OptionError: the set does not have so many subsets, or no image can support itself, for the network looks at
                no support image.
        """
        if self.subsets:
            support_subsets(shots, self.subsets)
        if self.self_support and not network.looks_at_support:
            raise OptionError(
                f"{network.name!r} looks at no support image: no image can support itself",
                remedy="leave out --self-support",
            )

    def set_on(self, adapted: AdaptedSegmenter) -> None:
        """Have an adapted network segment by subsets, by itself and with an eye to what is absent as asked."""
        adapted.subsets, adapted.self_support, adapted.check_presence = self.subsets, self.self_support, self.presence

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not as they are by default, as the command line calls them."""
        given = {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULT, name)}
        return dict((f"no_{name}", True) if value is False else (name, value) for name, value in given.items())

    def notes(self, adapted: AdaptedSegmenter) -> list[str]:
        """What a user should know of how an adapted network's masks come out, set on it as asked."""
        presence = _presence_note(adapted) if adapted.looks_for_absence else []
        cleaned = cleaning_note(adapted.record) if self.clean == "auto" and adapted.record else []
        return [*presence, *cleaned]


_DEFAULT = SegmentOptions()


def _presence_note(adapted: AdaptedSegmenter) -> list[str]:
    """Of which classes it is looked for whether a plane shows them, in a sentence for users."""
    checked = zip(adapted.classes, adapted.presence, strict=True)
    told = ", ".join(f"{name} below {each.least:.2f}" for name, each in checked if each.least > 0)
    return [f"a class is left out of planes where the network is less sure of it than the support set asks: {told}"]
