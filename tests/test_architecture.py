"""The shape of the code: which part may import which, and what no module does."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

Node = TypeVar("Node", bound=ast.AST)

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "medtap").rglob("*.py"))
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]

# From the ground up. A part imports parts of the lines above its own, and modules of its own package. A new part takes
# a line, or a place in a line of parts that do without each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "defaults", "errors", "late_imports", "threads"),
    ("chance", "frozen", "gpu_memory", "half_precision", "memory", "options", "processes", "transfer"),
    ("precision",),
    ("data",),
    ("outputs",),
    ("datasets", "support", "support_shape"),
    ("episodes",),
    ("episode_sampler", "networks"),
    ("adapters",),
    ("annotators", "augmentation", "ensembles", "losses", "presence"),
    ("tap_options",),
    ("passes",),
    ("guard",),
    ("presets", "record"),
    ("adapted",),
    ("adaptation",),
    ("inference", "metrics"),
    ("compiling", "many"),
    ("finetuning", "report"),
    ("pretraining",),
    ("workflows",),
    ("benchmarks", "cli_options", "console"),
    ("cli",),
    ("__init__", "__main__"),
)
LEVELS = {part: level for level, layer in enumerate(LAYERS) for part in layer}

LINES = 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


def _part(path: Path) -> str:
    return path.relative_to(ROOT / "medtap").with_suffix("").parts[0]


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one, but for what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from _running(ast.Module(child.orelse, []))
        else:
            yield from _running(child)


def _imports(tree: ast.Module) -> Iterator[str]:
    """The parts of medtap that a module imports, anywhere in it."""
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (_imported(alias.name) for alias in node.names if alias.name.split(".")[0] == "medtap")
        elif isinstance(node, ast.ImportFrom) and node.module == "medtap":
            yield from (alias.name if alias.name in LEVELS else "__init__" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medtap."):
            yield _imported(str(node.module))


def _imported(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _upward(part: str, tree: ast.Module) -> list[str]:
    return [other for other in _imports(tree) if other != part and LEVELS.get(other, len(LAYERS)) >= LEVELS[part]]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _all(kind: type[Node], path: Path) -> list[Node]:
    return [node for node in ast.walk(_parsed(path)) if isinstance(node, kind)]


def _assigned(path: Path) -> set[str]:
    """The names that a module's top level assigns."""
    targets = [target for node in _parsed(path).body if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _offenders(find: Callable[[Path], object], paths: Sequence[Path] = MODULES) -> dict[str, object]:
    """What was found wrong, by the file it was found in."""
    return {path.relative_to(ROOT).as_posix(): wrong for path in paths if (wrong := find(path))}


def test_modules_are_found() -> None:
    assert len(MODULES) > 40
    assert len(PACKAGES) > 8


def test_every_module_has_a_place_in_the_table() -> None:
    assert {_part(path) for path in MODULES} - set(LEVELS) == set()


def test_imports_go_downward() -> None:
    assert _offenders(lambda path: _upward(_part(path), _parsed(path))) == {}


def test_imports_name_medtap_in_full() -> None:
    assert _offenders(lambda path: [node.lineno for node in _all(ast.ImportFrom, path) if node.level]) == {}


def test_names_say_what_is_inside() -> None:
    assert _offenders(lambda path: VAGUE.intersection(path.relative_to(ROOT).with_suffix("").parts)) == {}


def test_mistakes_are_raised_and_not_asserted() -> None:
    assert _offenders(lambda path: [node.lineno for node in _all(ast.Assert, path)]) == {}


def test_files_stay_short() -> None:
    assert _offenders(lambda path: len(path.read_text(encoding="utf-8").splitlines()) >= LINES) == {}


def test_packages_say_what_is_public() -> None:
    assert _offenders(lambda path: "__all__" not in _assigned(path), PACKAGES) == {}


@pytest.mark.parametrize(
    ("part", "source", "found"),
    [
        ("data", "from medtap.errors import InputError", []),
        ("data", "from medtap.data.scan import Scan", []),
        ("data", "from medtap.networks.zoo import load_network", ["networks"]),
        ("data", "import medtap.cli", ["cli"]),
        ("data", "from medtap import load_network", ["__init__"]),
        ("data", "from medtap import errors, episodes", ["episodes"]),
        ("metrics", "from medtap.inference import choose_device", ["inference"]),
        ("record", "def late():\n    from medtap.cli import main", ["cli"]),
        ("record", "from medtap.unknown import anything", ["unknown"]),
        ("record", "if TYPE_CHECKING:\n    from medtap.adaptation import TapOptions", []),
        ("record", "if not TYPE_CHECKING:\n    from medtap.cli import main", ["cli"]),
        ("record", "if TYPE_CHECKING:\n    pass\nelse:\n    from medtap.cli import main", ["cli"]),
    ],
)
def test_upward_import_is_found(part: str, source: str, found: list[str]) -> None:
    assert _upward(part, ast.parse(source)) == found
