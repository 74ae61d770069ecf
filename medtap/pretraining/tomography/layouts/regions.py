"""Layouts of single regions: head, knee, heart and spine."""

from __future__ import annotations

from medtap.pretraining.tomography.layouts.organ import Organ, column, pair

HEAD_AXIAL = (
    Organ("skin", "skin", 0, 0, 0.92, 0.75),
    Organ("scalp", "fat", 0, 0, 0.9, 0.73),
    Organ("skull", "cortical", 0, 0, 0.87, 0.7),
    Organ("subarachnoid space", "fluid", 0, 0, 0.8, 0.63),
    Organ("brain", "grey matter", 0, 0, 0.78, 0.61),
    *pair(Organ("white matter", "white matter", 0, 0.28, 0.6, 0.24)),
    Organ("corpus callosum", "white matter", -0.02, 0, 0.3, 0.2),
    *pair(Organ("basal ganglia", "grey matter", -0.12, 0.2, 0.16, 0.07, -0.3)),
    *pair(Organ("thalamus", "grey matter", 0.1, 0.1, 0.12, 0.08, 0.3)),
    *pair(Organ("frontal horn", "fluid", -0.2, 0.08, 0.15, 0.04, -0.3)),
    *pair(Organ("occipital horn", "fluid", 0.3, 0.17, 0.18, 0.05, 0.4)),
    Organ("falx", "fluid", -0.55, 0, 0.24, 0.012),
    Organ("posterior falx", "fluid", 0.6, 0, 0.2, 0.012),
)
KNEE = (
    Organ("skin", "skin", 0, 0.05, 1.6, 0.85),
    Organ("fat", "fat", 0, 0.05, 1.58, 0.83),
    Organ("posterior muscle", "muscle", -0.3, 0.6, 0.7, 0.18),
    Organ("calf muscle", "muscle", 0.6, 0.55, 0.5, 0.2),
    Organ("quadriceps", "muscle", -0.8, -0.35, 0.4, 0.14),
    Organ("popliteal vessel", "blood", 0, 0.5, 0.9, 0.04, 0.1),
    Organ("femoral shaft", "marrow", -0.75, 0.05, 0.65, 0.24),
    Organ("femoral cartilage", "cartilage", -0.05, 0.02, 0.34, 0.42),
    Organ("condyle cortex", "cortical", -0.09, 0.02, 0.335, 0.39),
    Organ("condyle", "marrow", -0.1, 0.02, 0.325, 0.375),
    Organ("tibial cartilage", "cartilage", 0.55, 0.05, 0.26, 0.4),
    Organ("tibial cortex", "cortical", 0.58, 0.05, 0.255, 0.41),
    Organ("tibia", "marrow", 0.6, 0.05, 0.25, 0.39),
    Organ("tibial shaft", "marrow", 0.95, 0.1, 0.5, 0.27),
    *pair(Organ("meniscus", "tendon", 0.28, 0.27, 0.05, 0.1, 0.3)),
    Organ("cruciate ligament", "tendon", 0.22, 0.15, 0.1, 0.03, 0.6),
    Organ("patellar cartilage", "cartilage", -0.22, -0.48, 0.16, 0.08, 0.1),
    Organ("patella", "marrow", -0.22, -0.53, 0.17, 0.08, 0.1),
    Organ("patellar tendon", "tendon", 0.2, -0.58, 0.3, 0.03, -0.1),
)
HEART = (
    Organ("chest wall", "muscle", 0, 0, 1.3, 1.3),
    Organ("lung", "lung", 0.2, 0.4, 0.9, 0.8),
    Organ("liver", "liver", 0.75, -0.5, 0.4, 0.7),
    Organ("pericardial fat", "fat", 0.02, -0.02, 0.55, 0.7, -0.3),
    Organ("right wall", "myocardium", 0, -0.22, 0.36, 0.4, -0.3),
    Organ("right ventricle", "blood", 0, -0.22, 0.33, 0.37, -0.3),
    Organ("myocardium", "myocardium", 0.05, 0.18, 0.38, 0.36),
    Organ("left ventricle", "blood", 0.05, 0.18, 0.25, 0.23),
    *pair(Organ("papillary muscle", "myocardium", 0.12, 0.26, 0.05, 0.05)),
)
SPINE_SAGITTAL = (
    Organ("fat", "fat", 0, 0, 1.6, 0.95),
    Organ("back muscle", "muscle", 0, 0.5, 1.6, 0.25),
    Organ("abdomen", "bowel", 0, -0.65, 1.6, 0.4),
    Organ("aorta", "blood", -0.2, -0.32, 1.1, 0.06),
    Organ("canal", "fluid", 0, 0.18, 1.6, 0.09),
    Organ("cord", "white matter", -0.5, 0.18, 0.9, 0.045),
    *column(Organ("spinous process", "marrow", -0.9, 0.42, 0.09, 0.14, 0.4), 7, 0.3),
    *column(Organ("vertebral cortex", "cortical", -0.9, -0.08, 0.125, 0.19), 7, 0.3),
    *column(Organ("vertebra", "marrow", -0.9, -0.08, 0.11, 0.175), 7, 0.3),
    *column(Organ("disc", "cartilage", -0.75, -0.08, 0.045, 0.17), 6, 0.3),
    Organ("sacrum", "marrow", 0.95, 0.1, 0.3, 0.13, 0.5),
)
