"""Coded words for what a segment is (DICOM PS3.16 CID 7150 and below), for the names that classes usually have."""

from __future__ import annotations

import hashlib

from highdicom.sr import CodedConcept

ANATOMY = ("123037004", "Anatomical Structure")
ABNORMAL = ("49755003", "Morphologically Abnormal Structure")

_TYPES = {
    "brain": ("12738006", "Brain"),
    "hippocampus": ("5366008", "Hippocampus"),
    "anterior": ("5366008", "Hippocampus"),
    "posterior": ("5366008", "Hippocampus"),
    "heart": ("80891009", "Heart"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "lungs": ("39607008", "Lung"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "skin": ("39937001", "Skin"),
    "spleen": ("78961009", "Spleen"),
}
_ABNORMAL_TYPES = {
    "lesion": ("52988006", "Lesion"),
    "melanoma": ("108369006", "Neoplasm"),
    "nodule": ("27925004", "Nodule"),
    "tumor": ("108369006", "Neoplasm"),
    "tumour": ("108369006", "Neoplasm"),
}


def segment_codes(name: str) -> tuple[CodedConcept, CodedConcept]:
    """Category and type of a segment by its class name; a code of medtap's own where the name is not known."""
    key = name.strip().casefold()
    category = ABNORMAL if key in _ABNORMAL_TYPES else ANATOMY
    known = _TYPES.get(key) or _ABNORMAL_TYPES.get(key)
    return _snomed(category), _snomed(known) if known else _own(name)


def _snomed(code: tuple[str, str]) -> CodedConcept:
    return CodedConcept(value=code[0], scheme_designator="SCT", meaning=code[1])


def _own(name: str) -> CodedConcept:
    value = hashlib.sha256(name.encode()).hexdigest()[:12].upper()
    return CodedConcept(value=value, scheme_designator="99MEDTAP", meaning=name[:64])
