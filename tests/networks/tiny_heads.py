"""Every head, small enough for tests: random weights, in evaluation and frozen."""

from __future__ import annotations

from collections.abc import Callable

from medtap.networks.dmtnet import DmtnetSegmenter
from medtap.networks.hsnet import HsnetSegmenter
from medtap.networks.patnet import PatnetSegmenter
from medtap.networks.segmenter import FewShotSegmenter
from tests.networks import test_hsnet, test_pfenet
from tests.networks.test_affinity import tiny_affinity
from tests.networks.test_ssp import tiny_ssp
from tests.networks.tiny_blocks import tiny_dcama
from tests.networks.tiny_lite import tiny_lite
from tests.tiny import tiny_network

HEADS: dict[str, Callable[[], FewShotSegmenter]] = {
    "atto": tiny_network,
    "lite": lambda: tiny_lite().eval().requires_grad_(False),
    "ssp": tiny_ssp,
    "ssp-refined": lambda: tiny_ssp(refined=True),
    "affinity": tiny_affinity,
    "dcama-swin-b": lambda: tiny_dcama("swin-b")[0],
    "dcama-resnet50": lambda: tiny_dcama("resnet50")[0],
    "hsnet": lambda: test_hsnet.tiny(HsnetSegmenter),
    "patnet": lambda: test_hsnet.tiny(PatnetSegmenter),
    "dmtnet": lambda: test_hsnet.tiny(DmtnetSegmenter),
    **{name: lambda build=build: test_pfenet.tiny(build) for name, build in test_pfenet.NETWORKS.items()},
}
