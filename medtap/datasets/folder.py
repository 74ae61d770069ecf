"""The plain layout: a folder of images, a folder of masks, paired by name."""

from __future__ import annotations

from medtap.datasets.layout import Layout
from medtap.datasets.pairing import pair_cases

FOLDER = Layout("folder", find=pair_cases)
