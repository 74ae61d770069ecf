"""Generated frontal chest radiographs: absorption of the parts of a thorax, summed and shown through a film curve."""

from medtap.pretraining.radiograph.scene import chest_radiographs

__all__ = ["chest_radiographs"]
