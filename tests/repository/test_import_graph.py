"""Folders import one way: each line of LAYERS only from itself and from lines above it. The
repository's own code is read, not run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").exists()
)
LAYERS = (
    "agegender_core.errors",
    "agegender_core.labels",
    "agegender_core.toml_tables",
    "agegender_core.types",
    "agegender_core.settings",
    "agegender_core.forking",
    "agegender_core.openmp",
    "agegender_core.vision",
    "agegender_core.models",
    "agegender_core.output",
    "agegender_core.inference",
    "agegender_core.datasets",
    "agegender_core.training",
    "agegender_core.evaluation",
    "agegender_core.explain",
    "agegender_core.analysis",
    "agegender_core.batch",
    "agegender_core.video",
    "agegender_core.serving",
    "agegender_core.benchmarks",
    "agegender_core.publishing",
    "agegender_core.cli",
    "ui.compat",
    "ui.common",
    "ui.guard",
    "ui.models",
    "ui.predict",
    "ui.live",
    "ui.attention",
    "ui.guess",
    "ui.errors",
    "ui.gradio",
)
PACKAGES = {layer.partition(".")[0] for layer in LAYERS}
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
ENTRIES = {"agegender_core", "agegender_core.__main__", "ui"}
"""Files outside the folders: the package's front, which may name anything, and the entry of the
command line.
"""


def module_of(file: Path) -> str:
    """Dotted name of one of our files."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> str | None:
    """Line of LAYERS that ``module`` belongs to; None for other packages' modules."""
    return next(
        (layer for layer in LAYERS if module == layer or module.startswith(layer + ".")), None
    )


def imported(file: Path) -> Iterator[str]:
    """Modules that ``file`` imports, at its top or inside a function; names out of a package as the
    module they would be.
    """
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively: write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward_imports(layers: tuple[str, ...]) -> list[str]:
    """«module -> module» for every import of a layer from a later one."""
    found = []
    for file in FILES:
        here = layer_of(module_of(file))
        for name in imported(file) if here else ():
            there = layer_of(name)
            if there and layers.index(there) > layers.index(here):
                found.append(f"{module_of(file)} -> {name}")
    return found


def test_every_file_belongs_to_a_layer():
    homeless = [module_of(file) for file in FILES if layer_of(module_of(file)) is None]
    assert set(homeless) <= ENTRIES, homeless


def test_no_folder_imports_from_one_above_it():
    assert upward_imports(LAYERS) == []


def test_the_check_sees_an_upward_import():
    assert upward_imports(tuple(reversed(LAYERS))), (
        "with the order turned round nearly every import runs up"
    )


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.is_relative_to(ROOT / "agegender_core")], ids=module_of
)
def test_the_core_knows_no_web_framework_and_no_page(file):
    roots = {name.partition(".")[0] for name in imported(file)}
    assert not roots & {"streamlit", "gradio", "ui", "pages"}
