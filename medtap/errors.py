"""The errors a user of medtap can meet: which file, what was expected, what was found, what to do."""

from __future__ import annotations

from pathlib import Path


class MedtapError(Exception):
    """Base of every error that medtap raises on what a user gave.

    Args:
        problem: one clause that says what is wrong, without any tag value or patient data.
        file: the file or folder it is about.
        expected: what would have been right.
        found: what was there instead.
        remedy: what the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else Path(file)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        where = f"{self.file}: " if self.file is not None else ""
        parts = [f"{where}{self.problem}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        parts += [f"found {self.found}"] if self.found else []
        parts += [self.remedy] if self.remedy else []
        return "; ".join(parts)


class InputError(MedtapError):
    """An image or mask that cannot be read right. Refuses a support set; fails one case of a run."""


class SupportError(MedtapError):
    """A support set that cannot be learnt from."""


class OptionError(MedtapError):
    """An option, name or configuration key that medtap does not know or cannot honour."""


class OutputError(MedtapError):
    """An output folder that cannot or must not be written to."""


class WeightsError(MedtapError):
    """Weights, an adapter or a manifest that is corrupt or belongs to something else."""


class AdaptationError(MedtapError):
    """An adaptation that went wrong, such as a loss that is not a number."""


def medtap_cause(error: BaseException | None) -> MedtapError | None:
    """The MedtapError behind an error that a framework wrapped (``raise ... from``), or None."""
    while error is not None and not isinstance(error, MedtapError):
        error = error.__cause__ or error.__context__
    return error
