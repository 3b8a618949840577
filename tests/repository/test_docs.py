"""What people read is true: tables come from reports/, reports from the shipped weights, commands
and limits from the code.
"""

from __future__ import annotations

import hashlib
import re
import tomllib

import numpy as np
import pandas as pd
import pytest

from agegender_core.benchmarks.views import views_by_rule
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.datasets.sample_image import SAMPLE_NAME
from agegender_core.evaluation.metrics import estimates, persons, value_columns
from agegender_core.evaluation.published_results import SYSTEMS
from agegender_core.evaluation.report_store import (
    read_ablation,
    read_attention,
    read_attentions,
    read_bench,
    read_curves,
    read_reports,
    read_scaling,
    read_views,
)
from agegender_core.evaluation.summaries import summaries
from agegender_core.inference.model_zoo import list_weights, stages_of
from agegender_core.models.ensemble import read_members
from agegender_core.publishing.attention_tables import beats
from agegender_core.publishing.headline import headline_table
from agegender_core.publishing.markers import replace_section
from agegender_core.publishing.measured_docs import SECTIONS
from agegender_core.publishing.readme import model_card, results_section
from agegender_core.publishing.runs_page import runs_section
from agegender_core.publishing.seed_tables import paired_difference
from agegender_core.publishing.speed_page import IMAGE, scaling_svg, speed_section
from agegender_core.publishing.views_table import EXCEPTIONS, current_rows, views_section
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
ENTRIES = list_weights(ROOT / "weights")
REPORTS = read_reports(ROOT / "reports")


def test_every_shipped_network_is_measured_on_every_set() -> None:
    made = {(report.weights, report.set) for report in REPORTS}
    assert made == {(info.name, name) for info in ENTRIES for name in TEST_SPLITS}
    digests = {info.name: info.sha256 for info in ENTRIES}
    assert all(report.weights_sha256 == digests[report.weights] for report in REPORTS)


def test_tables_are_the_reports() -> None:
    results = (ROOT / "docs" / "results.md").read_text()
    assert replace_section(results, results_section(ENTRIES, ROOT / "reports")) == results
    headline = headline_table(ENTRIES, REPORTS, read_bench(ROOT / "reports"))
    assert replace_section(README, headline) == README and len(headline.splitlines()) == 2 + 8


def test_aims_and_commits_are_the_reports_and_the_manifest() -> None:
    runs = (ROOT / "docs" / "runs.md").read_text()
    assert replace_section(runs, runs_section(ENTRIES, ROOT / "reports")) == runs


def test_curves_are_of_the_shipped_weights_or_of_experiments() -> None:
    digests = {info.name: info.sha256 for info in ENTRIES}
    curves = read_curves(ROOT / "reports")
    assert any(curve.experiment for curve in curves.values())
    for name, curve in curves.items():
        if not curve.experiment:
            assert curve.weights_sha256 == digests.get(name), f"{name}: a curve of other weights"


def test_cards_say_how_many_images_a_stage_went_on_from() -> None:
    checked = 0
    for info in ENTRIES:
        seen: dict[str, int] = {}
        for stage in stages_of(info):
            member = stage.get("member", info.name)
            if found := re.search(r"([\d,]+) images in", stage.get("start", "")):
                assert int(found[1].replace(",", "")) == seen[member], f"{info.name}: {stage}"
                checked += 1
            seen[member] = seen.get(member, 0) + stage.get("pictures_seen", 0)
    assert checked > 3


def test_ensembles_are_of_todays_members() -> None:
    known = {info.name: info for info in ENTRIES}
    for info in ENTRIES:
        for member in read_members(info.options.get("members", ())):
            assert known[member.weights].sha256 == member.sha256, f"join {info.name} again"


def test_passes_in_the_documents_are_those_of_the_manifest() -> None:
    (info,) = (info for info in ENTRIES if info.name == "efficientnet_lite0")
    first = stages_of(info)[0]
    passes = f"{first['pictures_seen'] / first['pictures']:.1f}"
    for page in ("docs/runs.md", "configs/QUEUE.md"):
        (row,) = (
            line
            for line in (ROOT / page).read_text().splitlines()
            if line.startswith("| `efficientnet_lite0`") and "| ImageNet |" in line
        )
        assert f"| {passes} |" in row, page


def test_what_verdicts_point_to_is_in_the_results() -> None:
    results = (ROOT / "docs" / "results.md").read_text()
    named = re.findall(r"^(?:#+ (.+)|(\w[\w -]+): )", results, re.MULTILINE)
    here = " | ".join(heading or opening for heading, opening in named).lower()
    for system in SYSTEMS.values():
        for name in re.findall("«(.+?)»", system.verdict):
            assert name.lower() in here, f"{system.title}: nothing is called «{name}»"


def test_the_verdict_on_gates_is_what_was_measured_over_seeds() -> None:
    assert "differ by no more than the seeds do" in SYSTEMS["gra_net"].verdict
    report = read_ablation(ROOT / "reports", "controls")
    assert report is not None and len({run.seed for run in report.runs}) == 3
    errors = [
        [run.mae.value for run in report.runs if run.variant == key and run.mae]
        for key in ("masks", "no_masks", "no_gates")
    ]
    means = [np.mean(each) for each in errors]
    assert max(means) - min(means) <= max(max(each) - min(each) for each in errors)
    for key in ("no_masks", "no_gates"):
        found = paired_difference(report.runs, key, "masks", "mae")
        assert found is not None and found.low < 0 < found.high


def test_what_is_said_of_faithful_masks_is_the_report() -> None:
    report, _ = read_attention(ROOT / "reports", "gra_net_dist", "utkface")
    maps = report.targets["age"]
    better = {
        name
        for name, kinds in maps.items()
        if all(kind.verdict == "better than random" for kind in kinds.values())
    }
    text = " ".join((ROOT / "docs" / "attention.md").read_text().split())
    assert "the deviation and the effect of blocks 2 and 3 of `gra_net_dist` beat random" in text
    parts = {f"attention{block}.{part}" for block in (2, 3) for part in ("deviation", "effect")}
    own = {name for name in better if name.startswith("attention") and not name.endswith("trunk")}
    assert own == parts
    assert not any(beats(kinds, "centre") for kinds in maps.values()), "nearness beats them all"


def test_cells_of_masks_in_the_documents_are_those_of_the_shipped_network() -> None:
    report = next(one for one in read_attentions(ROOT / "reports") if one.weights == "gra_net_dist")
    (info,) = (info for info in ENTRIES if info.name == "gra_net_dist")
    sides = [report.sides[name] for name in report.activity]
    assert report.weights_sha256 == info.sha256 and sides[0] * 2 == info.input.size
    page = " ".join((ROOT / "docs" / "attention.md").read_text().split())
    first, second, third = (f"{side} × {side}" for side in sides)
    assert f"({first}, {second} and {third} in `gra_net_dist`)" in page
    assert f"# (channels, {sides[0]}, {sides[0]}) in [0, 1]" in page


@pytest.mark.parametrize("name", SECTIONS)
def test_other_measured_tables_are_the_reports(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    assert replace_section(text, SECTIONS[name](ROOT / "reports")) == text


def test_speed_page_and_its_image_are_the_reports() -> None:
    page, scaling = ROOT / "docs" / "speed.md", read_scaling(ROOT / "reports")
    section = speed_section(ROOT / "reports")
    assert replace_section(page.read_text(), section) == page.read_text()
    assert section.count("## ") >= 4, "a part of the page has no report"
    assert scaling is not None
    assert scaling_svg(scaling) == (ROOT / "docs" / IMAGE).read_text()


@pytest.mark.parametrize("info", ENTRIES, ids=lambda info: info.name)
def test_cards_are_the_reports(info) -> None:
    assert (ROOT / "weights" / f"{info.name}.md").read_text() == model_card(info, REPORTS)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: f"{report.weights}-{report.set}")
def test_metrics_follow_from_the_prediction_tables(report) -> None:
    table = pd.read_parquet(ROOT / "reports" / report.weights / report.set / "predictions.parquet")
    assert len(table) == report.n and int((~table["face_found"]).sum()) == report.no_face
    who = persons(table)
    assert (who is not None) == (report.set == "fgnet"), (
        "only FG-NET shows the same people again and again"
    )
    assert estimates(value_columns(table), who) | summaries(table, who) == report.metrics


def test_the_table_of_views_is_the_report() -> None:
    page = (ROOT / "docs" / "network-speed.md").read_text()
    assert replace_section(page, views_section(ENTRIES, ROOT / "reports")) == page


def test_networks_have_the_views_that_the_rule_asks_for() -> None:
    report = read_views(ROOT / "reports")
    assert report is not None
    rows = current_rows(report, ENTRIES)
    assert rows, "no network was measured with today's weights"
    manifest = {info.name: 2 if info.flip else 1 for info in ENTRIES}
    apart = {row.weights for row in rows if views_by_rule(row) != manifest[row.weights]}
    assert apart == set(EXCEPTIONS) & {row.weights for row in rows}
    assert set(EXCEPTIONS) <= set(manifest) and all(EXCEPTIONS.values())


def test_front_matter_is_for_a_docker_space() -> None:
    assert README.startswith("---\n")
    front = README.split("---\n")[1]
    assert (
        "sdk: docker" in front
        and "app_port:" in front
        and "title:" in front
        and "license:" in front
    )


def test_core_imports_are_fenced() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert set(rules["flake8-tidy-imports"]["banned-api"]) == {"streamlit", "gradio"}


def test_no_picture_of_a_person_is_in_the_repository_but_the_screenshots() -> None:
    images = [
        path
        for path in ROOT.rglob("*")
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".npy", ".npz"}
    ]
    tracked = [
        path
        for path in images
        if not {".venv", ".git", "runs", ".cache", "build"} & set(path.relative_to(ROOT).parts)
    ]
    averages = set((ROOT / "reports").glob("*/attention/*.npz"))
    assets = ROOT / "agegender_core" / "assets"
    sources = (assets / "README.md").read_text()  # of portraits in the public domain
    portraits = {
        path
        for path in assets.iterdir()
        if hashlib.sha256(path.read_bytes()).hexdigest() in sources or path.name == SAMPLE_NAME
    }
    assert {path.name for path in portraits} == {SAMPLE_NAME, "grace_hopper.jpg"}
    assert all(path.parent == ROOT / "docs" for path in set(tracked) - averages - portraits), (
        tracked
    )
    for path in averages:
        with np.load(path) as arrays:
            faces = [name for name in arrays if name.endswith("/face")]
            assert all(int(arrays[name.removesuffix("face") + "n"]) >= 200 for name in faces), (
                f"{path}: a mean face of too few people"
            )
        assert path.stat().st_size < 300_000
