"""What is imported when it is first used, and not before, so that programs start sooner.

Public names of a package, so that one comes without all the others; and what MONAI would import for parts of its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

_FOR_PARTS_OF_MONAI = frozenset({"ignite", "transformers"})


def imported_late(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` (PEP 562) of a package.

    Args:
        package: its name.
        names: by module of it, the public names that come from there.
    """
    homes = {name: f"{package}.{module}" for module, own in names.items() for name in own}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return find, lambda: sorted(homes)


class SparedImports(MetaPathFinder):
    """Finds nothing of ignite and transformers while MONAI is imported, which does without them then.

    It imports all of itself at once, and these two, half of what that takes, for its engines and one network. They can
    be imported before and after as ever, but those parts of MONAI are of no use in this process: it is for programs of
    our own that need none of them.
    """

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Leave every module to the other finders.

        Raises:
            ModuleNotFoundError: it is one of these two, and MONAI is being imported.
        """
        monai = getattr(sys.modules.get("monai"), "__spec__", None)
        if fullname in _FOR_PARTS_OF_MONAI and getattr(monai, "_initializing", False):
            raise ModuleNotFoundError(f"{fullname} is not imported for MONAI here", name=fullname)
        return None
