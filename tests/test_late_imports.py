"""Public names that are imported when they are used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import medtap.data
import medtap.outputs
import medtap.pretraining
from medtap.late_imports import SparedImports, imported_late


def test_a_name_is_imported_from_its_module_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "email.charset", raising=False)
    find, names = imported_late("email", {"charset": ("Charset",), "utils": ("formatdate", "parseaddr")})
    assert "email.charset" not in sys.modules
    assert find("Charset") is importlib.import_module("email.charset").Charset
    assert names() == ["Charset", "formatdate", "parseaddr"]


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"module 'medtap.data' has no attribute 'write_scan'"):
        medtap.data.write_scan  # noqa: B018


def test_what_monai_is_spared_can_be_imported_as_ever() -> None:
    program = (
        "import sys; from medtap.late_imports import SparedImports; sys.meta_path.insert(0, SparedImports());"
        "import monai; assert not {'ignite', 'transformers'} & sys.modules.keys();"
        "import ignite, transformers; assert monai.transforms and monai.losses and monai.inferers"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)


def test_only_two_packages_are_spared_and_only_while_monai_is_imported() -> None:
    assert all(SparedImports().find_spec(name, None) is None for name in ("ignite", "transformers", "numpy"))


@pytest.mark.parametrize(
    "package", [medtap.data, medtap.outputs, medtap.pretraining], ids=lambda package: package.__name__
)
def test_packages_find_every_public_name(package: object) -> None:
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
