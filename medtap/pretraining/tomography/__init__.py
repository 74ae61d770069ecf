"""Generated slices of MR, CT and ultrasound volumes: crops around the hippocampus and slices through the body.

Both families draw label maps of the same anatomy for every patient, pose and deform them, look the tissues' intensities
up and degrade the picture as a scanner does. All intensities and shapes are textbook values, spread widely.
"""

from medtap.pretraining.tomography.body import body_slices
from medtap.pretraining.tomography.brain import brain_crops

__all__ = ["body_slices", "brain_crops"]
