"""Montgomery and Shenzhen chest X-rays (Jaeger et al. 2014) as CD-FSS benchmarks lay them out: CXR_png, masks.

Masks are called as their images, or ``X_mask`` for Shenzhen; many copies are anti-aliased grey, which
``--mask-threshold 127`` takes apart. Cases are grouped by site.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medtap.datasets.cases import CaseList
from medtap.datasets.layout import Layout, folders_below
from medtap.datasets.pairing import pair_cases

_SITES = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}


def find_chest_xray(images: Path, masks: Path | None) -> CaseList:
    """Cases of the lung masks of both sites."""
    found = pair_cases(*folders_below(images, masks, [("CXR_png", "masks")]))
    cases = tuple(replace(case, group=_SITES.get(Path(case.name).name.split("_")[0])) for case in found.cases)
    return replace(found, cases=cases, classes=("lung",))


CHEST_XRAY = Layout("chest_xray", find_chest_xray, fits=lambda folder: folder.name == "CXR_png")
