"""The images below a folder, in an order that no file system changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medtap.data import is_readable, split_suffix
from medtap.data.dicom_file import visible_files
from medtap.errors import InputError

MASK_ENDINGS = ("", "_segmentation", "_mask")
"""What a mask's name may add to its image's."""

Ignore = Callable[[Path], str | None]
"""Reason to leave a file out, or None."""


@dataclass(frozen=True)
class Listing:
    """Readable files below a folder.

    Args:
        root: the folder.
        files: their paths, sorted by the path below the root.
        skipped: (file, reason) of the others; hidden ones are not mentioned.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...] = ()


def list_scans(root: Path, *, ignore: Ignore | None = None) -> Listing:
    """Images and volumes below a folder, or the one file it names.

    Hidden files and macOS's ``._*`` are passed over; symbolic links to folders are not followed.

    Raises:
        InputError: no such folder, or nothing in it that medtap reads.
    """
    if not root.exists():
        raise InputError("no such file or folder", file=root)
    paths = [root] if root.is_file() else visible_files(root)
    reasons = {path: _reason(path, ignore) for path in paths}
    files = tuple(path for path in paths if reasons[path] is None)
    skipped = tuple((path, reason) for path, reason in reasons.items() if reason is not None)
    if not files:
        raise InputError(
            "no image in it",
            file=root,
            expected="PNG, JPEG, BMP, TIFF, NIfTI or DICOM files",
            found=f"{len(paths)} others",
        )
    return Listing(root if root.is_dir() else root.parent, files, skipped)


def case_name(path: Path, root: Path) -> str:
    """Path below the root, with slashes and without the suffix: ``a/b`` of ``root/a/b.nii.gz``."""
    return (path.parent.relative_to(root) / split_suffix(path)[0]).as_posix()


def mask_stem(stem: str) -> str:
    """The stem of the image that a mask's stem names."""
    for ending in MASK_ENDINGS[1:]:
        if stem.endswith(ending):
            return stem.removesuffix(ending)
    return stem


def _reason(path: Path, ignore: Ignore | None) -> str | None:
    reason = ignore(path) if ignore is not None else None
    return reason or (None if is_readable(path) else "not a kind of file that medtap reads")
