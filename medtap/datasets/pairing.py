"""Images and masks paired by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from medtap.data import split_suffix
from medtap.datasets.cases import Case, CaseList
from medtap.datasets.listing import Ignore, Listing, case_name, list_scans, mask_stem
from medtap.errors import InputError


def pair_cases(
    images: Path, masks: Path | None, *, ignore: Ignore | None = None, resize_mask: bool = False
) -> CaseList:
    """Cases of a folder of images and, if given, a folder of masks.

    A mask is called as its image, or so with ``_segmentation`` or ``_mask`` added; it lies in the same subfolder,
    or anywhere if its name is the only such one.

    Args:
        images: folder, read recursively, or one file.
        masks: the same for masks; may be the folder of the images.
        ignore: gives a reason to leave a file out.
        resize_mask: put into every case.

    Raises:
        InputError: no image, two images of one name, two masks for one image, or no pair at all.
    """
    found = _without_masks(list_scans(images, ignore=ignore), masks)
    _check_names(found)
    if masks is None:
        return CaseList(tuple(Case(case_name(path, found.root), path) for path in found.files), None, found.skipped)
    if images.is_file() and masks.is_file():
        return CaseList((Case(split_suffix(images)[0], images, masks, resize_mask),))
    return _paired(found, list_scans(masks, ignore=ignore), resize_mask)


def _without_masks(found: Listing, masks: Path | None) -> Listing:
    """Leave out the masks that lie among the images."""
    names = {case_name(path, found.root) for path in found.files}
    inside = masks if masks is not None and masks.is_dir() and masks.resolve() != found.root.resolve() else None
    kept, left = [], list(found.skipped)
    for path in found.files:
        stem = split_suffix(path)[0]
        of = case_name(path.with_name(mask_stem(stem)), found.root)
        if inside is not None and path.resolve().is_relative_to(inside.resolve()):
            left.append((path, "in the folder of the masks"))
        elif mask_stem(stem) != stem and of in names:
            left.append((path, f"the mask of {of} by its name"))
        else:
            kept.append(path)
    return Listing(found.root, tuple(kept), tuple(left))


def _check_names(found: Listing) -> None:
    counts = Counter(case_name(path, found.root) for path in found.files)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise InputError(
            "images of one name, whose outputs would overwrite each other",
            file=found.root,
            expected="names that differ without their suffix",
            found=f"{twice[0]} {counts[twice[0]]} times",
            remedy="rename one, or list the images in a CSV file",
        )


def _paired(found: Listing, masks: Listing, resize_mask: bool) -> CaseList:
    index = _index(masks, images=found)
    choices = {image: _masks_for(image, found, index) for image in found.files}
    _check_choices(choices)
    cases = tuple(
        Case(case_name(image, found.root), image, chosen[0], resize_mask) for image, chosen in choices.items() if chosen
    )
    if not cases:
        raise InputError(
            "no mask fits any image", file=masks.root,
            expected="the image's name, or so with _segmentation or _mask added",
            found=f"{len(masks.files)} masks such as {masks.files[0].name}, for images such as {found.files[0].name}",
        )  # fmt: skip
    left = tuple((image, "no mask of its name") for image, chosen in choices.items() if not chosen)
    unused = len(set(masks.files) - {case.mask for case in cases} - set(found.files))
    warnings = (f"{unused} masks fit no image",) if unused else ()
    return CaseList(cases, None, found.skipped + left, warnings)


def _index(masks: Listing, images: Listing) -> dict[str, list[Path]]:
    """Masks by the path of their image below the root, and by its bare stem below ``*/``."""
    index = defaultdict(list)
    for path in masks.files:
        if path in images.files:
            continue
        stem = split_suffix(path)[0]
        for named in dict.fromkeys((stem, mask_stem(stem))):
            index[case_name(path.with_name(named), masks.root)].append(path)
            index[f"*/{named}"].append(path)
    return index


def _masks_for(image: Path, found: Listing, index: dict[str, list[Path]]) -> list[Path]:
    name = case_name(image, found.root)
    return index.get(name) or index.get(f"*/{Path(name).name}") or []


def _check_choices(choices: dict[Path, list[Path]]) -> None:
    for image, chosen in choices.items():
        if len(chosen) > 1:
            raise InputError(
                "more than one mask for one image", file=image, expected="one",
                found=", ".join(path.name for path in chosen), remedy="leave one, or list the pairs in a CSV file",
            )  # fmt: skip
    users = Counter(chosen[0] for chosen in choices.values() if chosen)
    for mask, count in users.items():
        if count > 1:
            raise InputError(
                "one mask for several images", file=mask, expected="one image", found=f"{count} of this name",
                remedy="put masks into the same subfolders as their images",
            )  # fmt: skip
