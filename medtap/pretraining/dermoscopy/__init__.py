"""Dermoscopy of pigmented lesions, drawn: skin and lesion as pigments, what lies on the glass, the camera."""

from medtap.pretraining.dermoscopy.scene import dermoscopic_lesions

__all__ = ["dermoscopic_lesions"]
