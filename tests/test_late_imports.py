"""Public names that are imported when they are used."""

from __future__ import annotations

import importlib
import sys

import pytest

import medtap.data
import medtap.outputs
from medtap.late_imports import imported_late


def test_a_name_is_imported_from_its_module_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "email.charset", raising=False)
    find, names = imported_late("email", {"charset": ("Charset",), "utils": ("formatdate", "parseaddr")})
    assert "email.charset" not in sys.modules
    assert find("Charset") is importlib.import_module("email.charset").Charset
    assert names() == ["Charset", "formatdate", "parseaddr"]


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'medtap.data' has no attribute 'write_scan'"):
        medtap.data.write_scan  # noqa: B018


@pytest.mark.parametrize("package", [medtap.data, medtap.outputs], ids=lambda package: package.__name__)
def test_packages_find_every_public_name(package: object) -> None:
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
