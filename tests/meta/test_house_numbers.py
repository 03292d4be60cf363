"""The shape of the code that the house keeps: small modules, small functions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("proxy", "gatewayproject", "analytics", "consoles")
MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts and "node_modules" not in path.parts
]
LONGEST_MODULE = 600
LONGEST_FUNCTION = 80


def functions(path: Path) -> list[tuple[int, str]]:
    """Length in lines and name of each function in a file."""
    tree = ast.parse(path.read_text())
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


def test_modules_are_small() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in MODULES)
    assert lengths[len(lengths) // 2] <= 120
    assert lengths[int(len(lengths) * 0.95)] <= 400


def test_functions_are_small() -> None:
    found = sorted(length for path in MODULES for length, _ in functions(path))
    assert found[len(found) // 2] <= 8
    assert found[int(len(found) * 0.95)] <= 45


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_is_too_long(path: Path) -> None:
    assert [name for length, name in functions(path) if length > LONGEST_FUNCTION] == []


def test_no_module_is_called_utils() -> None:
    assert [path for path in MODULES if path.stem in ("utils", "helpers", "common", "misc")] == []
