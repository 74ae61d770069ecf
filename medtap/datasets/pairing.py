"""Images and masks paired by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medtap.data import split_suffix
from medtap.data.dicom_file import is_dicom
from medtap.datasets.cases import Case, CaseList
from medtap.datasets.dicom import DicomCases, find_series
from medtap.datasets.dicom_pairing import name_segments, pair_by_reference
from medtap.datasets.listing import Ignore, Listing, case_name, list_scans, mask_stem
from medtap.errors import InputError


def pair_cases(
    images: Path, masks: Path | None, *, ignore: Ignore | None = None, resize_mask: bool = False
) -> CaseList:
    """Cases of a folder of images and, if given, a folder of masks.

    A mask is called as its image, or so with ``_segmentation`` or ``_mask`` added; it lies in the same subfolder,
    or anywhere if its name is the only such one. DICOM files are cases by series, and DICOM SEG and RTSTRUCT belong to
    the images that they refer to.

    Args:
        images: folder, read recursively, or one file.
        masks: the same for masks; may be the folder of the images.
        ignore: gives a reason to leave a file out.
        resize_mask: put into every case.

    Raises:
        InputError: no image, two images of one name, two masks for one image, or no pair at all.
    """
    found = _without_masks(list_scans(images, ignore=ignore), masks)
    dicom = find_series(found.files, found.root)
    cases = _cases(found, dicom)
    skipped = (*found.skipped, *dicom.skipped)
    if masks is None:
        return CaseList(cases, None, skipped, tuple(dicom.warnings))
    if images.is_file() and masks.is_file():
        paired = _named([replace(cases[0], mask=masks, resize_mask=resize_mask)], dicom)
    else:
        paired = _paired(cases, dicom, list_scans(masks, ignore=ignore), resize_mask)
    return replace(paired, skipped=skipped + paired.skipped, warnings=(*dicom.warnings, *paired.warnings))


def _named(cases: Sequence[Case], dicom: DicomCases) -> CaseList:
    """Cases with masks, and the names of their classes where the masks hold them."""
    classes, warnings = name_segments(cases, dicom)
    return CaseList(tuple(cases), classes, (), tuple(warnings))


def _cases(found: Listing, dicom: DicomCases) -> tuple[Case, ...]:
    """Cases without masks: one for each file, and one for each series of DICOM files."""
    files = [path for path in found.files if not is_dicom(path)]
    cases = [Case(case_name(path, found.root), path) for path in files] + dicom.cases
    if not cases:
        raise InputError("no image in it", file=found.root, expected="images", found=dicom.skipped[0][1])
    _check_names(cases, found.root)
    return tuple(sorted(cases, key=lambda case: case.name))


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


def _check_names(cases: Sequence[Case], root: Path) -> None:
    counts = Counter(case.name for case in cases)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise InputError(
            "images of one name, whose outputs would overwrite each other",
            file=root,
            expected="names that differ without their suffix",
            found=f"{twice[0]} {counts[twice[0]]} times",
            remedy="rename one, or list the images in a CSV file",
        )


def _paired(cases: Sequence[Case], dicom: DicomCases, masks: Listing, resize_mask: bool) -> CaseList:
    index, referred = _index(masks, cases), pair_by_reference(dicom, masks.files)
    choices = {case: referred.get(case.name) or _masks_for(case, index) for case in cases}
    _check_choices(choices, set().union(*referred.values()) if referred else set())
    paired = tuple(replace(case, mask=chosen[0], resize_mask=resize_mask) for case, chosen in choices.items() if chosen)
    if not paired:
        raise InputError(
            "no mask fits any image", file=masks.root,
            expected="the image's name, or so with _segmentation or _mask added; of DICOM, references to the image",
            found=f"{len(masks.files)} masks such as {masks.files[0].name}, for images such as {cases[0].image.name}",
        )  # fmt: skip
    left = tuple((case.image, "no mask of its name") for case, chosen in choices.items() if not chosen)
    images = {path for case in cases for path in case.sources}
    unused = len(set(masks.files) - {case.mask for case in paired} - images)
    named = _named(paired, dicom)
    unpaired = (f"{unused} masks fit no image",) if unused else ()
    return replace(named, skipped=left, warnings=unpaired + named.warnings)


def _index(masks: Listing, cases: Sequence[Case]) -> dict[str, list[Path]]:
    """Masks by the path of their image below the root, and by its bare stem below ``*/``."""
    index = defaultdict(list)
    images = {path for case in cases for path in case.sources}
    for path in masks.files:
        if path in images:
            continue
        stem = split_suffix(path)[0]
        for named in dict.fromkeys((stem, mask_stem(stem))):
            index[case_name(path.with_name(named), masks.root)].append(path)
            index[f"*/{named}"].append(path)
    return index


def _masks_for(case: Case, index: dict[str, list[Path]]) -> list[Path]:
    """Masks of a case's name; DICOM images go by their file's name too, and series by their folder's."""
    folder = Path(case.name).parent
    own = folder if case.files else folder / split_suffix(case.image)[0]
    keys = [f"{prefix}{name}" for named in (Path(case.name), own) for prefix, name in (("", named), ("*/", named.name))]
    return next((index[key] for key in keys if key in index), [])


def _check_choices(choices: dict[Case, list[Path]], referring: set[Path]) -> None:
    for case, chosen in choices.items():
        if len(chosen) > 1:
            raise InputError(
                "more than one mask for one image", file=case.image, expected="one",
                found=", ".join(path.name for path in chosen), remedy="leave one, or list the pairs in a CSV file",
            )  # fmt: skip
    users = Counter(chosen[0] for chosen in choices.values() if chosen)
    for mask, count in users.items():
        if count > 1 and mask not in referring:
            raise InputError(
                "one mask for several images", file=mask, expected="one image", found=f"{count} of this name",
                remedy="put masks into the same subfolders as their images",
            )  # fmt: skip
