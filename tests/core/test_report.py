"""Tables from reports: claims stay apart from measurements, stale reports are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agegender_core.errors import ConfigError
from agegender_core.evaluation.report import BEGIN, END, claims_table, measured_table, read_reports, replace_section, update_all
from agegender_core.weights import WeightsEntry, list_weights, write_manifest

MAE = {"value": 5.04, "low": 4.9, "high": 5.2, "n": 3134}
REPORT = {
    "weights": "net",
    "weights_sha256": "abc",
    "set": "utkface",
    "split": "test",
    "n": 3134,
    "no_face": 0,
    "how": "chips",
    "metrics": {"mae": MAE, "gender_accuracy": {"value": 0.935, "low": 0.926, "high": 0.944, "n": 3134}},
    "slices": {},
}


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A repository with one entry, one report and a README with markers: root, reports, weights."""
    reports, weights = tmp_path / "reports", tmp_path / "weights"
    (reports / "net" / "utkface").mkdir(parents=True)
    weights.mkdir()
    (reports / "net" / "utkface" / "metrics.json").write_text(json.dumps(REPORT))
    training = {"sets": ["utkface"], "split": "train", "pictures": 17252, "pictures_seen": 99999, "minutes": 30, "device": "CPU"}
    entry = WeightsEntry(
        name="net",
        title="Net",
        summary="A net.",
        files=("net.safetensors",),
        sha256="abc",
        architecture="multitask_cnn",
        heads={"age": 101},
        paper="Somebody 2019",
        terms="none",
        folder=weights,
        training=training,
        claimed={"adience five-fold/gender_accuracy": 0.871, "fgnet leave-one-out/mae": 1.07},
    )
    write_manifest([entry], weights)
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\nstale text\n{END}\nafter\n")
    return tmp_path, reports, weights


def test_update_writes_readme_card_and_manifest_and_is_stable(project: tuple[Path, Path, Path]) -> None:
    root, reports, weights = project
    update_all(root, reports, weights)
    readme = (root / "README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "stale text" not in readme
    assert "5.04 (4.90–5.20)" in readme and "93.5 (92.6–94.4)" in readme and "UTKFace, test, 3,134" in readme
    assert list_weights(weights)[0].measured == {"utkface test": {"n": 3134, "mae": 5.04, "gender_accuracy": 0.935}}
    card = (weights / "net.md").read_text()
    assert "Somebody 2019" in card and "17,252 pictures" in card and "1.07 years" in card
    before = {path: path.read_text() for path in (root / "README.md", weights / "net.md", weights / "manifest.toml")}
    update_all(root, reports, weights)
    assert all(path.read_text() == text for path, text in before.items())


def test_claims_never_stand_among_measurements(project: tuple[Path, Path, Path]) -> None:
    _, reports, weights = project
    entries = list_weights(weights)
    assert "1.07" not in measured_table(entries, read_reports(reports)) and "87.1" not in measured_table(entries, read_reports(reports))
    assert "1.07 years" in claims_table(entries) and "5.04" not in claims_table(entries)


def test_reports_of_other_weights_are_refused(project: tuple[Path, Path, Path]) -> None:
    root, reports, weights = project
    path = reports / "net" / "utkface" / "metrics.json"
    path.write_text(json.dumps(REPORT | {"weights_sha256": "other"}))
    with pytest.raises(ConfigError, match="net on utkface"):
        update_all(root, reports, weights)


def test_readme_without_markers_is_refused() -> None:
    with pytest.raises(ConfigError, match="one line"):
        replace_section("no markers", "text")
