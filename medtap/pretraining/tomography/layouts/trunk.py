"""Layouts of the trunk: axial slices of abdomen, chest and pelvis, and a coronal one."""

from __future__ import annotations

from medtap.pretraining.tomography.layouts.organ import Organ, column, pair, ring


def _trunk(height: float, width: float) -> tuple[Organ, ...]:
    """Table, skin, subcutaneous fat, wall and cavity of an axial slice."""
    return (
        Organ("table", "table", height + 0.2, 0, 0.16, 1.1),
        Organ("gap", "air", height + 0.15, 0, 0.16, 1.1),
        Organ("body", "skin", 0, 0, height, width),
        Organ("fat", "fat", 0, 0, height - 0.015, width - 0.015),
        Organ("wall", "muscle", 0, 0, height - 0.09, width - 0.1),
        Organ("cavity", "fat", -0.04, 0, height - 0.16, width - 0.18),
    )


def _spine(y: float) -> tuple[Organ, ...]:
    """Vertebra with canal and processes, and the muscles beside it, of an axial slice."""
    return (
        *pair(Organ("back muscle", "muscle", y + 0.2, 0.17, 0.13, 0.16)),
        Organ("spinous process", "cortical", y + 0.25, 0, 0.11, 0.03),
        *pair(Organ("transverse process", "cortical", y + 0.13, 0.12, 0.03, 0.12, -0.3)),
        Organ("vertebral cortex", "cortical", y, 0, 0.125, 0.15),
        Organ("vertebra", "marrow", y, 0, 0.105, 0.13),
        Organ("canal", "fluid", y + 0.15, 0, 0.045, 0.055),
    )


ABDOMEN = (
    *_trunk(0.7, 0.92),
    *ring(Organ("ribs", "cortical", 0, 0, 0.02, 0.06), 15, 0.575, 0.78, 0.3),
    *_spine(0.3),
    *pair(Organ("psoas", "muscle", 0.3, 0.22, 0.11, 0.08)),
    *ring(Organ("bowel", "bowel", 0.02, 0.1, 0.09, 0.1), 7, 0.2, 0.4),
    *ring(Organ("bowel gas", "gas", -0.02, 0.1, 0.03, 0.06), 3, 0.25, 0.42),
    Organ("liver", "liver", -0.1, -0.4, 0.38, 0.28, 0.15),
    Organ("left lobe", "liver", -0.28, -0.08, 0.13, 0.26, 0.2),
    Organ("hepatic vein", "blood", -0.12, -0.35, 0.02, 0.14, 0.5),
    Organ("portal vein", "blood", -0.02, -0.3, 0.03, 0.1, -0.4),
    Organ("gallbladder", "fluid", -0.12, -0.17, 0.07, 0.05),
    Organ("spleen", "spleen", 0.08, 0.58, 0.24, 0.1, -0.3),
    Organ("stomach", "stomach", -0.24, 0.32, 0.16, 0.21, 0.3),
    Organ("stomach gas", "gas", -0.31, 0.33, 0.05, 0.14),
    Organ("pancreas", "pancreas", -0.02, 0.12, 0.045, 0.2, 0.3),
    *pair(Organ("kidney", "kidney", 0.25, 0.42, 0.16, 0.1, -0.4)),
    *pair(Organ("renal pelvis", "fat", 0.24, 0.37, 0.06, 0.04, -0.4)),
    Organ("aorta", "blood", 0.11, 0.04, 0.055, 0.055),
    Organ("vena cava", "blood", 0.1, -0.1, 0.05, 0.065),
)
CHEST = (
    *_trunk(0.68, 0.95),
    *pair(Organ("pectoral muscle", "muscle", -0.5, 0.4, 0.06, 0.25)),
    *ring(Organ("ribs", "cortical", 0, 0, 0.02, 0.08), 14, 0.56, 0.8, 0.2),
    *pair(Organ("lung", "lung", 0, 0.4, 0.48, 0.34, 0.1)),
    *pair(Organ("bronchus", "gas", 0.05, 0.12, 0.03, 0.05)),
    *_spine(0.3),
    Organ("mediastinum", "fat", -0.15, 0, 0.35, 0.16),
    Organ("right ventricle", "blood", -0.22, -0.02, 0.16, 0.24, -0.4),
    Organ("myocardium", "myocardium", -0.12, 0.16, 0.2, 0.22, -0.5),
    Organ("left ventricle", "blood", -0.12, 0.16, 0.12, 0.14, -0.5),
    Organ("left atrium", "blood", 0.08, 0.02, 0.08, 0.13),
    Organ("aorta", "blood", 0.22, 0.16, 0.06, 0.06),
    Organ("oesophagus", "bowel", 0.17, 0.03, 0.03, 0.04),
    Organ("sternum", "marrow", -0.52, 0, 0.03, 0.12),
)
PELVIS = (
    *_trunk(0.66, 0.95),
    *pair(Organ("gluteus", "muscle", 0.34, 0.42, 0.16, 0.32, 0.4)),
    *pair(Organ("thigh muscle", "muscle", -0.22, 0.55, 0.18, 0.2)),
    *pair(Organ("acetabulum", "cortical", 0.05, 0.44, 0.2, 0.14, 0.3)),
    *pair(Organ("femur cortex", "cortical", 0.04, 0.56, 0.14, 0.14)),
    *pair(Organ("femoral head", "marrow", 0.04, 0.56, 0.12, 0.12)),
    *pair(Organ("obturator", "muscle", 0.08, 0.28, 0.2, 0.06, 0.2)),
    *pair(Organ("femoral vessel", "blood", -0.32, 0.36, 0.04, 0.04)),
    *ring(Organ("bowel", "bowel", -0.3, 0, 0.07, 0.09), 4, 0.06, 0.2),
    Organ("bladder wall", "muscle", -0.14, 0, 0.2, 0.24),
    Organ("bladder", "fluid", -0.14, 0, 0.18, 0.22),
    Organ("prostate", "prostate", 0.12, 0, 0.13, 0.16),
    Organ("central zone", "pancreas", 0.09, 0, 0.08, 0.1),
    Organ("rectum", "bowel", 0.34, 0, 0.1, 0.11),
    Organ("rectal gas", "gas", 0.33, 0, 0.05, 0.06),
    Organ("sacrum", "cortical", 0.5, 0, 0.05, 0.14),
)
CORONAL = (
    Organ("body", "skin", 0, 0, 1.6, 0.78),
    Organ("fat", "fat", 0, 0, 1.58, 0.765),
    Organ("wall", "muscle", 0, 0, 1.5, 0.68),
    Organ("cavity", "fat", 0.05, 0, 1.2, 0.58),
    *pair(Organ("lung", "lung", -0.85, 0.33, 0.5, 0.28)),
    Organ("heart", "myocardium", -0.75, 0.1, 0.25, 0.25),
    *column(Organ("bowel", "bowel", 0.2, 0.15, 0.1, 0.16), 4, 0.13),
    *column(Organ("colon", "bowel", 0.15, -0.45, 0.14, 0.1), 3, 0.2),
    *pair(Organ("psoas", "muscle", 0.35, 0.18, 0.4, 0.09, -0.2)),
    *column(Organ("vertebral cortex", "cortical", -0.6, 0, 0.085, 0.11), 7, 0.2),
    *column(Organ("vertebrae", "marrow", -0.6, 0, 0.07, 0.095), 7, 0.2),
    Organ("liver", "liver", -0.22, -0.3, 0.3, 0.3, 0.4),
    Organ("left lobe", "liver", -0.35, -0.05, 0.14, 0.25),
    Organ("spleen", "spleen", -0.28, 0.47, 0.2, 0.1, 0.3),
    Organ("stomach", "stomach", -0.25, 0.28, 0.2, 0.14, 0.5),
    *pair(Organ("kidney", "kidney", 0.06, 0.32, 0.19, 0.1, 0.2)),
    *pair(Organ("renal pelvis", "fat", 0.06, 0.27, 0.08, 0.04, 0.2)),
    *pair(Organ("ilium", "cortical", 0.62, 0.45, 0.2, 0.06, -0.5)),
    Organ("bladder", "fluid", 0.85, 0, 0.13, 0.2),
    Organ("aorta", "blood", -0.1, 0.05, 0.6, 0.045),
)
