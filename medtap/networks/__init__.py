"""Few-shot segmentation networks under one interface, and the zoo that names them."""

from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import BUILDERS, build_network, load_network, save_network

__all__ = ["BUILDERS", "FewShotSegmenter", "build_network", "load_network", "save_network"]
