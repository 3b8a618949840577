"""What people read is true: tables come from reports/, reports from the shipped weights, commands and limits from the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender_core.data.terms import TEST_SPLITS
from agegender_core.evaluation.metrics import estimates, value_columns
from agegender_core.evaluation.report import model_card, readme_section, replace_section
from agegender_core.evaluation.saved import read_reports
from agegender_core.imaging import MAX_BYTES, MAX_PIXELS
from agegender_core.weights import list_weights

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ENTRIES = list_weights(ROOT / "weights")
REPORTS = read_reports(ROOT / "reports")


def test_every_shipped_network_is_measured_on_every_set() -> None:
    made = {(report["weights"], report["set"]) for report in REPORTS}
    assert made == {(entry.name, name) for entry in ENTRIES for name in TEST_SPLITS}
    digests = {entry.name: entry.sha256 for entry in ENTRIES}
    assert all(report["weights_sha256"] == digests[report["weights"]] for report in REPORTS)


def test_readme_tables_are_the_reports() -> None:
    assert replace_section(README, readme_section(ENTRIES, ROOT / "reports")) == README


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_cards_are_the_reports(entry) -> None:
    assert (ROOT / "weights" / f"{entry.name}.md").read_text() == model_card(entry, REPORTS)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: f"{report['weights']}-{report['set']}")
def test_metrics_follow_from_the_prediction_tables(report) -> None:
    table = pd.read_parquet(ROOT / "reports" / report["weights"] / report["set"] / "predictions.parquet")
    assert len(table) == report["n"] and int((~table["face_found"]).sum()) == report["no_face"]
    assert estimates(value_columns(table)) == report["metrics"]


def test_front_matter_is_for_a_docker_space() -> None:
    assert README.startswith("---\n")
    front = README.split("---\n")[1]
    assert "sdk: docker" in front and "app_port:" in front and "title:" in front and "license:" in front


def test_readme_names_existing_files_limits_and_commands() -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), f"README points to {target}, which is missing"
    assert f"{MAX_BYTES // 2**20} MB" in README and f"{MAX_PIXELS // 10**6} megapixels" in README
    from typer.main import get_command

    from agegender_core.cli import app

    known = set(get_command(app).commands)
    assert set(re.findall(r"python -m agegender_core (\w+)", README)) <= known


def test_pins_are_exact_and_core_imports_are_fenced() -> None:
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or "==" in line, line
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert set(rules["flake8-tidy-imports"]["banned-api"]) == {"streamlit", "gradio"}


def test_layers_import_one_way() -> None:
    forbidden = {
        "agegender_core": r"^\s*(import|from) (streamlit|gradio|ui|pages)\b",
        "agegender_core/models": r"agegender_core\.(data|predictor|training|detection)",
        "pages": r"^\s*(import|from) (torch|facenet_pytorch)\b",
        "ui": r"^\s*(import|from) (torch|facenet_pytorch|pages)\b",
    }
    for folder, pattern in forbidden.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(pattern, path.read_text(), re.MULTILINE), f"{path} breaks the one-way rule: {pattern}"


def test_no_picture_of_a_person_is_in_the_repository_but_the_screenshots() -> None:
    pictures = [path for path in ROOT.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".npy", ".npz"}]
    tracked = [path for path in pictures if not {".venv", ".git", "runs", ".cache"} & set(path.relative_to(ROOT).parts)]
    averages = set((ROOT / "reports").glob("*/attention/*.npz"))
    assert all(path.parent == ROOT / "docs" for path in set(tracked) - averages), tracked
    for path in averages:
        with np.load(path) as arrays:
            faces = [name for name in arrays if name.endswith("/face")]
            assert all(int(arrays[name.removesuffix("face") + "n"]) >= 200 for name in faces), f"{path}: a mean face of too few people"
        assert path.stat().st_size < 300_000
