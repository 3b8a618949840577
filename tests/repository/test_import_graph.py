"""Folders import one way: each line of LAYERS only from itself and from lines above it, and no
feature of ``ui`` from another. The repository's own code is read, not run.
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
    "agegender_core.no_telemetry",
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
    "pages",
    "app",
    "gradio_app",
    "serve",
)
PACKAGES = {layer.partition(".")[0] for layer in LAYERS}
FILES = sorted(
    file
    for package in PACKAGES
    for file in [*(ROOT / package).rglob("*.py"), *ROOT.glob(f"{package}.py")]
)
ENTRIES = {"agegender_core", "agegender_core.__main__", "ui"}
"""Files outside the folders: the package's front, which may name anything, and the entry of the
command line.
"""
SHARED = {"ui.compat", "ui.common", "ui.guard"}
"""Folders of ``ui`` that every feature may import; the others are a feature each."""
FEATURES = {layer for layer in LAYERS if layer.startswith("ui.")} - SHARED
FORBIDDEN = {
    "agegender_core": {"streamlit", "gradio", "ui", "pages", "app", "gradio_app", "serve"},
    "agegender_core.models": {
        "agegender_core.vision.face_detector",
        "agegender_core.vision.image_files",
        "agegender_core.vision.image_io",
    },
    "ui": {"torch", "facenet_pytorch"},
    "pages": {"torch", "facenet_pytorch"},
}
"""What a folder never imports, beyond what LAYERS forbids: no web framework and no page in the
core, its front included; no detector and no image file in a network; no torch in a page.
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


def imports() -> list[tuple[str, str]]:
    """Module and what it imports, for all of our files."""
    return [(module_of(file), name) for file in FILES for name in imported(file)]


def arrows(found: list[tuple[str, str]]) -> list[str]:
    """«module -> module»."""
    return [f"{module} -> {name}" for module, name in found]


def upward_imports(layers: tuple[str, ...], found: list[tuple[str, str]]) -> list[str]:
    """Every import of a layer from a later one."""
    return arrows(
        [
            (module, name)
            for module, name in found
            if (here := layer_of(module))
            and (there := layer_of(name))
            and layers.index(there) > layers.index(here)
        ]
    )


def crossing_imports(found: list[tuple[str, str]]) -> list[str]:
    """Every import of one feature from another."""
    return arrows(
        [
            (module, name)
            for module, name in found
            if {layer_of(module), layer_of(name)} <= FEATURES and layer_of(module) != layer_of(name)
        ]
    )


def forbidden_imports(found: list[tuple[str, str]]) -> list[str]:
    """Every import that FORBIDDEN names."""
    return arrows(
        [
            (module, name)
            for module, name in found
            for folder, names in FORBIDDEN.items()
            if f"{module}.".startswith(f"{folder}.")
            and any(f"{name}.".startswith(f"{one}.") for one in names)
        ]
    )


def test_every_file_belongs_to_a_layer():
    homeless = [module_of(file) for file in FILES if layer_of(module_of(file)) is None]
    assert set(homeless) <= ENTRIES, homeless


def test_every_layer_is_there():
    """A line that names nothing any more would allow everything."""
    ours = {one for names in FORBIDDEN.values() for one in names if layer_of(one)}
    for name in {*LAYERS, *FORBIDDEN, *ours}:
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_imports_run_one_way():
    found = imports()
    assert upward_imports(LAYERS, found) == []
    assert crossing_imports(found) == [], "what features share is in ui/common"
    assert forbidden_imports(found) == []


@pytest.mark.parametrize(
    "module,line",
    [
        ("agegender_core.vision.alignment", "from agegender_core.inference import predictor"),
        ("agegender_core.serving.service", "from ui.common import services"),
        ("agegender_core.cli.serve", "import serve"),
        ("ui.common.theme", "from ui.guess.state import GAME"),
        ("ui.models.tables", "from pages import models"),
        ("pages.about", "import app"),
    ],
)
def test_an_upward_import_is_seen(module: str, line: str, tmp_path: Path):
    assert upward_imports(LAYERS, planted(module, line, tmp_path))


@pytest.mark.parametrize(
    "module,line",
    [
        ("ui.errors.data", "from ui.models import tables"),
        ("ui.live.text", "import ui.predict.state"),
        ("ui.predict.share", "from ui.gradio.components import inline"),
    ],
)
def test_an_import_of_another_feature_is_seen(module: str, line: str, tmp_path: Path):
    assert crossing_imports(planted(module, line, tmp_path))


@pytest.mark.parametrize(
    "module,line",
    [
        ("agegender_core", "import streamlit as st"),
        ("agegender_core.serving.runtime", "from gradio.blocks import Block"),
        ("agegender_core.models.gra_net", "from agegender_core.vision import face_detector"),
        ("ui.common.theme", "import torch.nn"),
        ("pages.live", "from facenet_pytorch import MTCNN"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, line: str, tmp_path: Path):
    assert forbidden_imports(planted(module, line, tmp_path))


def planted(module: str, line: str, folder: Path) -> list[tuple[str, str]]:
    """The imports of a ``module`` that has ``line`` in a function."""
    path = folder / "planted.py"
    path.write_text(f"def late():\n    {line}\n")
    return [(module, name) for name in imported(path)]
