"""Absorption of the body's soft tissue and of the air in it."""

from __future__ import annotations

import torch
from torch import Tensor

from medtap.pretraining.cohort import Cohort
from medtap.pretraining.radiograph.frame import Frame
from medtap.pretraining.radiograph.thorax import Thorax


def soft_tissue(frame: Frame, thorax: Thorax, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of the body with its air, about 1 in the trunk."""
    body = _body(frame, cohort)
    thick = torch.lerp(cohort.vary(0.45, 0.75), cohort.vary(0.85, 1.05), (-(frame.u**2) * 1.2).exp())
    thick = thick + cohort.vary(0, 0.25) * (-(((frame.y + 1) / 0.3) ** 2)).exp()
    below = frame.edge(-thorax.chest, 0.08) * frame.edge(0.2 + thorax.cage, 0.2)
    tissue = body * (thick + cohort.vary(0.05, 0.25) * below)
    hidden = frame.edge(torch.minimum(thorax.cage, thorax.lateral + 0.05), 0.2) * frame.edge(thorax.chest + 0.15, 0.3)
    clear = torch.lerp(frame.edge(thorax.lungs, 0.015), frame.edge(thorax.lungs, 0.1), cohort.vary(0, 0.9))
    deep = frame.edge(thorax.lungs - 0.08, 0.35)
    air = cohort.vary(0.2, 0.42) * clear + cohort.vary(0.08, 0.28) * deep + cohort.vary(0.02, 0.14) * hidden
    heart = cohort.vary(0.02, 0.15) * frame.edge(thorax.heart, 0.1) * frame.edge(thorax.chest, 0.2)
    return tissue - air + heart - _gas(frame, thorax, cohort) + _breasts(frame, cohort)


def _body(frame: Frame, cohort: Cohort) -> Tensor:
    """Thickness [n,S,S] in [0,1] of neck, shoulders, trunk and arms."""
    slope = cohort.vary(0.25, 0.7) * (frame.u - cohort.vary(0.3, 0.45)).clamp_min(0) ** cohort.vary(0.8, 1.6)
    shoulder = frame.y + cohort.vary(1.2, 1.6) - slope
    neck = torch.minimum(cohort.vary(0.3, 0.48) - frame.u, -frame.y)
    trunk = torch.minimum(shoulder, 1 + cohort.vary(0.06, 0.35) + 0.1 * frame.y - frame.u)
    axis = cohort.vary(1.3, 1.6) + cohort.vary(0.0, 0.6) * (frame.y + 1)
    arm = torch.minimum(shoulder, cohort.vary(0.18, 0.3) - (frame.u - axis).abs())
    axilla = torch.minimum(shoulder, torch.minimum(axis - frame.u, cohort.vary(-0.7, -0.35) - frame.y))
    inside = torch.stack([neck, trunk, arm, axilla]).amax(0)
    return 0.5 * frame.edge(inside, 0.02) + 0.5 * frame.edge(inside - 0.08, 0.4)


def _gas(frame: Frame, thorax: Thorax, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] missing in the trachea, the stomach and the bowel."""
    branch = (frame.y - cohort.vary(-0.35, -0.15)).clamp_min(0)
    trachea = 0.055 - (frame.u - 0.8 * branch).abs() - 0.4 * (branch - 0.25).clamp_min(0)
    air = cohort.vary(0.05, 0.22) * frame.edge(torch.minimum(trachea, 0.2 - branch), 0.06)
    bubble = 0.22 - torch.hypot(frame.x - cohort.vary(0.4, 0.65), (frame.y - cohort.vary(0.75, 1.0)) * 1.4)
    bubble = torch.minimum(bubble * cohort.vary(0.6, 1.6), -thorax.chest * 2 - cohort.vary(0.03, 0.1))
    air = air + cohort.some(0.45) * cohort.vary(0.1, 0.5) * frame.edge(bubble, 0.05)
    bowel = torch.minimum(cohort.bicubic_noise(10) - 1.0, -thorax.chest * 6 - 1)
    return air + cohort.some(0.4) * cohort.vary(0.05, 0.35) * frame.edge(bowel, 0.3)


def _breasts(frame: Frame, cohort: Cohort) -> Tensor:
    """Absorption [n,S,S] of two soft shadows over the lower lungs whose lower rim is the clearer, some with nipples."""
    across, down = frame.u - frame.side(cohort, 0.5, 0.75), frame.y - frame.side(cohort, 0.25, 0.7)
    depth = 1 - torch.hypot(across / 0.5, down / torch.where(down > 0, 0.35, 0.8))
    nipple = cohort.some(0.2) * frame.edge(0.035 - torch.hypot(across - 0.1, down - 0.15), 0.04) * 0.08
    return cohort.some(0.5) * cohort.vary(0.02, 0.2) * frame.edge(depth, 0.3) * depth.clamp(0, 1).sqrt() + nipple
