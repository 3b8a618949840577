"""Tables from reports: claims stay apart from measurements, stale reports are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.errors import ConfigError
from agegender_core.evaluation.published_results import CLAIMS, DATASET_TITLES, SYSTEMS
from agegender_core.evaluation.report_store import read_reports
from agegender_core.evaluation.report_types import (
    BenchReport,
    Estimate,
    EvaluationReport,
    ModelTiming,
)
from agegender_core.inference.decoding import DecodingSpec, decoding_dict
from agegender_core.inference.model_zoo import ModelInfo, list_weights, write_manifest
from agegender_core.models import architectures
from agegender_core.output.json_records import to_json
from agegender_core.publishing.attention_tables import faithful_table
from agegender_core.publishing.comparison_tables import (
    HEADLINES,
    ablation_rows,
    ablation_table,
    comparison_rows,
    comparison_table,
)
from agegender_core.publishing.markers import BEGIN, END, replace_section
from agegender_core.publishing.readme import (
    claims_table,
    measured_table,
    model_card,
    update_all,
)
from agegender_core.publishing.rival_claims import RIVAL_TABLES, rival_claims_table, rival_rows
from tests.support import ROOT
from tests.support.attention_reports import (
    attention_report_of,
    change_of,
    map_curves,
    saturated,
)

MAE = Estimate(5.04, 4.9, 5.2, 3134)
REPORT = EvaluationReport(
    weights="net",
    weights_sha256="abc",
    set="utkface",
    split="test",
    n=3134,
    no_face=0,
    how="chips",
    decoding=decoding_dict(DecodingSpec()),
    metrics={"mae": MAE, "gender_accuracy": Estimate(0.935, 0.926, 0.944, 3134)},
    slices={},
)


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A repository with one entry, one report and a README with markers: root, reports, weights."""
    reports, weights = tmp_path / "reports", tmp_path / "weights"
    (reports / "net" / "utkface").mkdir(parents=True)
    weights.mkdir()
    (reports / "net" / "utkface" / "metrics.json").write_text(json.dumps(to_json(REPORT)))
    training = {
        "sets": ["utkface"],
        "split": "train",
        "pictures": 17252,
        "pictures_seen": 99999,
        "minutes": 30,
        "device": "CPU",
    }
    info = ModelInfo(
        name="net",
        title="Net",
        summary="A net.",
        files=("net.safetensors",),
        sha256="abc",
        architecture="multitask_cnn",
        heads={"age": 101},
        parameters=919_822,
        paper="Somebody 2019",
        terms="none",
        folder=weights,
        training=training,
    )
    write_manifest([info], weights)
    (weights / "net.safetensors").write_bytes(b"stored")
    (tmp_path / "docs").mkdir()
    for page in (tmp_path / "README.md", tmp_path / "docs" / "results.md"):
        page.write_text(f"before\n{BEGIN}\nstale text\n{END}\nafter\n")
    return tmp_path, reports, weights


def test_update_writes_readme_card_and_manifest_and_is_stable(
    project: tuple[Path, Path, Path],
) -> None:
    root, reports, weights = project
    update_all(root, reports, weights)
    pages = (root / "README.md", root / "docs" / "results.md")
    for text in (page.read_text() for page in pages):
        assert (
            text.startswith("before\n") and text.endswith("\nafter\n") and "stale text" not in text
        )
        assert (
            "5.04 years (4.90–5.20)" in text
            and "93.5 % (92.6–94.4)" in text
            and "UTKFace, test, 3,134" in text
        )
    assert list_weights(weights)[0].measured == {
        "utkface test": {"n": 3134, "mae": 5.04, "gender_accuracy": 0.935}
    }
    card = (weights / "net.md").read_text()
    assert (
        "Somebody 2019" in card
        and "99,999 images, 5.8 passes over 17,252" in card
        and "87.1 %" in card
        and "Table II" in card
    )
    assert list_weights(weights)[0].claimed == {
        "adience five folds/adience8_accuracy": 0.668,
        "adience five folds/gender_accuracy": 0.871,
    }
    before = {
        path: path.read_text() for path in (*pages, weights / "net.md", weights / "manifest.toml")
    }
    update_all(root, reports, weights)
    assert all(path.read_text() == text for path, text in before.items())


def test_a_claim_never_stands_in_a_measured_cell(project: tuple[Path, Path, Path]) -> None:
    _, reports, weights = project
    (info,) = list_weights(weights)
    assert "87.1" not in measured_table(
        [info], read_reports(reports)
    ) and "5.04" not in claims_table(info)
    rows = comparison_rows(
        [info],
        read_reports(reports),
        [],
        BenchReport(rows=(ModelTiming("net", "network, one face, two views", 2.5, 3.0),)),
    )
    for line in comparison_table(rows).splitlines()[2:]:
        _, _, _, claimed, measured, *_ = (cell.strip() for cell in line.split("|"))
        assert "5.04" not in claimed and not any(
            claim in measured for claim in ("87.1", "66.8", "1.07", "99.2")
        )


def test_the_table_names_weights_set_split_n_interval_size_and_speed(
    project: tuple[Path, Path, Path],
) -> None:
    _, reports, weights = project
    bench = BenchReport(rows=(ModelTiming("net", "network, one face, two views", 2.54, 3.0),))
    lines = comparison_table(
        comparison_rows(list_weights(weights), read_reports(reports), [], bench)
    ).splitlines()
    (line,) = (line for line in lines if "`net`" in line)
    for part in (
        "Multi-task CNN",
        "UTKFace, test, 3,134",
        "age, MAE 5.04 years (4.90–5.20)",
        "gender 93.5 % (92.6–94.4)",
        "0.9M",
        "2.5",
    ):
        assert part in line
    (absent,) = (line for line in lines if line.startswith("| Multi-task CNN | Adience"))
    assert "66.8 % (five folds)" in absent and "not run here: its images are not here" in absent
    assert any(
        "GRA_Net" in line and "1.07 years" in line and "not trained yet" in line for line in lines
    )


def test_flat_rows_keep_claims_and_measurements_in_columns_of_their_own(
    project: tuple[Path, Path, Path],
) -> None:
    root, reports, weights = project
    update_all(root, reports, weights)
    rows = json.loads((reports / "comparison.json").read_text())
    (mine,) = (
        row for row in rows if row["weights"] == "net" and row["measure"] == "age, MAE, years"
    )
    assert (mine["measured"], mine["from"], mine["to"], mine["n"], mine["claimed"]) == (
        5.04,
        4.9,
        5.2,
        3134,
        None,
    )
    claims = [row for row in rows if row["claimed"] is not None]
    assert len(claims) == len(CLAIMS) and all(
        row["measured"] is None and row["not run"] for row in claims
    )


def test_gates_and_masks_have_a_table_of_their_own(project: tuple[Path, Path, Path]) -> None:
    weights = project[2]
    (info,) = list_weights(weights)
    made = [
        dataclasses.replace(
            info,
            name=f"gra_net_ablation_{kind}",
            for_comparison=True,
            architecture="gra_net",
            options={
                "mask": kind if kind == "spatial" else "mixed",
                "gated": kind != "ran",
                "mask_norm": kind != "annex",
            },
        )
        for kind in ("spatial", "ran", "annex", "mixed")
    ]
    found = [
        dataclasses.replace(
            REPORT,
            weights=item.name,
            gates={"attention1": 0.25} if item.options["gated"] else {},
        )
        for item in made
    ]
    looked = attention_report_of(
        weights="gra_net_ablation_spatial",
        set=REPORT.set,
        activity={"attention1": saturated(0.126)},
        changes=(change_of("all", "off", None), change_of("all", "mean", (0.4, 0.3, 0.5))),
    )
    rows = ablation_rows([info, *made], [REPORT, *found], [looked])
    order = ["mixed", "annex", "spatial", "ran"]
    assert [row.weights for row in rows] == [f"gra_net_ablation_{kind}" for kind in order]
    table = ablation_table(rows)
    (spatial,) = (line for line in table.splitlines() if line.startswith("| spatial"))
    assert "| 13 % | +0.40 (+0.30 to +0.50) years |" in spatial and "| – | – |" in table
    assert (
        "0.25" in table
        and "mixed, no gate" in table
        and "mixed, mask branch as in the annex, gated" in table
        and "30 minutes, 99,999 images" in table
        and "3.23 with gates, 4.05 without" in table
    )
    passes = rows[0].pictures_seen / rows[0].pictures
    assert f"{passes:.1f} passes each. Flat masks:" in table
    longer = [dataclasses.replace(rows[0], pictures_seen=2 * rows[0].pictures), *rows[1:]]
    assert f"Not equally many passes, 2 to {passes:.1f}: mind" in ablation_table(longer)
    assert not any(
        row.weights in {item.name for item in made}
        for row in comparison_rows(made, found, [], None)
    )


def test_masks_that_matter_or_not_have_a_table_of_their_own() -> None:
    better, same = "better than random", "no better than random"
    maps = {
        "attention1": map_curves(better, same),
        "decade.attention2": map_curves(better, better),
        "decade.attention2.trunk": map_curves(better, better),
        "random 8x8": map_curves(None, None),
    }
    report = attention_report_of(
        changes_n=1200,
        activity={"attention1": saturated(0.126), "attention2": saturated(1.0)},
        changes=(change_of("all", "mean", (-0.4, -0.5, 0.05)),),
        targets={"age": maps, "gender": {"occlusion": map_curves(same, better)}},
    )
    table = faithful_table([report, dataclasses.replace(report, activity={}, changes=())])
    first, second = table.splitlines()[2:4]
    assert (
        first
        == "| `net` | UTKFace, test | 13 %, 100 % | -0.40 (-0.50 to +0.05) years, n 1,200 | decade,"
        " block 2 (of 2, n 40) | none (of 1, n 40) | – | – |"
    )
    assert "| – | – |" in second


def test_claims_are_those_of_known_systems_sets_and_metrics() -> None:
    for claim in CLAIMS:
        assert (
            claim.system in SYSTEMS
            and claim.set in DATASET_TITLES
            and claim.metric in HEADLINES
            and claim.source
        )
        assert (1 <= claim.value < 20) if claim.metric == "mae" else (0.5 < claim.value < 1)
    named = [name for system in SYSTEMS.values() for name in system.architectures]
    assert sorted(named) == sorted(architectures()), (
        "every architecture belongs to one published system"
    )


def test_what_papers_say_of_others_is_whole_and_apart() -> None:
    for table in RIVAL_TABLES:
        assert (
            table.system in SYSTEMS
            and table.set in DATASET_TITLES
            and table.metric in HEADLINES
            and len(table.rows) >= 4
        )
        assert all(
            (1 < value < 20) if table.metric == "mae" else (0.3 < value < 1)
            for _, value in table.rows
        )
    said = {
        (table.set, table.metric): dict(table.rows)
        for table in RIVAL_TABLES
        if table.system == "gra_net"
    }
    ran = [
        said[key]["RAN (2017)"]
        for key in (("fgnet", "mae"), ("afad", "mae"), ("utkface", "age_accuracy"))
    ]
    assert ran == [4.05, 3.42, 0.854] and said["adience", "gender_accuracy"]["RAN (2017)"] == 0.772
    assert sum(len(table.rows) for table in RIVAL_TABLES) == len(rival_rows()) == 78
    markdown = rival_claims_table()
    assert (
        "RAN (2017) 85.4" in markdown
        and "AdienceNet 50.7" in markdown
        and "DenseNet61 63.6" in markdown
        and "None of these" in markdown
    )


def test_reports_read_otherwise_than_the_manifest_are_refused(
    project: tuple[Path, Path, Path],
) -> None:
    root, reports, weights = project
    path = reports / "net" / "utkface" / "metrics.json"
    path.write_text(
        json.dumps(to_json(REPORT) | {"decoding": decoding_dict(list_weights(weights)[0].decoding)})
    )
    update_all(root, reports, weights)
    path.write_text(
        json.dumps(
            to_json(REPORT) | {"decoding": {"kind": "distribution", "gender_temperature": 3.0}}
        )
    )
    with pytest.raises(ConfigError, match="net on utkface"):
        update_all(root, reports, weights)


def test_curves_of_other_weights_are_refused(project: tuple[Path, Path, Path]) -> None:
    root, reports, weights = project
    path = reports / "net" / "curve.json"
    stage = {"start": "from scratch", "pictures": 17252, "rows": [{"epoch": 1, "minutes": 2}]}
    curve = {"weights": "net", "weights_sha256": "abc", "stages": [stage]}
    path.write_text(json.dumps(curve))
    update_all(root, reports, weights)
    for changed in ({"weights_sha256": "def"}, {"stages": [stage | {"pictures": 174}]}):
        path.write_text(json.dumps(curve | changed))
        with pytest.raises(ConfigError, match=r"learning curves of other weights.*: net;"):
            update_all(root, reports, weights)
    path.write_text(json.dumps(curve | {"weights_sha256": None, "experiment": "A trial"}))
    update_all(root, reports, weights)


def test_cards_say_where_the_interval_holds(project: tuple[Path, Path, Path]) -> None:
    weights = project[2]
    held = {
        "interval_coverage": Estimate(0.81, 0.78, 0.84, 412),
        "interval_width": Estimate(11.6, 1, 2, 412),
    }
    report = dataclasses.replace(
        REPORT, slices={"age_answered": {"0-9": held}, "race": {"White": held}}
    )
    info = dataclasses.replace(
        list_weights(weights)[0], decoding=DecodingSpec(coverage=0.8, margins=((0.0, 0.5, 1.25),))
    )
    card = model_card(info, [report])
    assert (
        "| UTKFace | answered age | 0-9: 81.0 (78.0–84.0), 12 years, n 412 |" in card
        and "White" not in card
    )
    assert "from 0 +0.5 and +1.2" in card and "Where the interval holds" not in model_card(
        info, [REPORT]
    )


def test_reports_of_other_weights_are_refused(project: tuple[Path, Path, Path]) -> None:
    root, reports, weights = project
    path = reports / "net" / "utkface" / "metrics.json"
    path.write_text(json.dumps(to_json(REPORT) | {"weights_sha256": "other"}))
    with pytest.raises(ConfigError, match="net on utkface"):
        update_all(root, reports, weights)


def test_protocols_of_other_weights_and_reports_that_do_not_say_how_are_refused(
    project: tuple[Path, Path, Path],
) -> None:
    root, reports, weights = project
    (reports / "net" / "protocols").mkdir()
    path = reports / "net" / "protocols" / "leave_one_person_out_fgnet.json"
    stored = sorted((ROOT / "reports").glob("*/protocols/leave_one_person_out_fgnet.json"))[0]
    path.write_text(
        json.dumps(json.loads(stored.read_text()) | {"weights": "net", "weights_sha256": "other"})
    )
    with pytest.raises(ConfigError, match="net on fgnet; run «protocol"):
        update_all(root, reports, weights)
    path.unlink()
    path = reports / "net" / "utkface" / "metrics.json"
    path.write_text(json.dumps(to_json(REPORT) | {"decoding": None}))
    with pytest.raises(ConfigError, match="net on utkface; run «evaluate»"):
        update_all(root, reports, weights)


def test_nothing_is_written_where_numbers_would_be_lost(
    project: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, reports, weights = project

    def unchanged() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    before = unchanged()
    with pytest.raises(ConfigError, match=r"no numbers of net in .*nowhere: run «evaluate»"):
        update_all(root, root / "nowhere", weights)
    assert unchanged() == before
    update_all(root, reports, weights)
    before = unchanged()
    (reports / "net" / "utkface").rename(root / "aside")
    (reports / "net" / "fgnet").mkdir()
    other = dataclasses.replace(REPORT, set="fgnet", split="all")
    (reports / "net" / "fgnet" / "metrics.json").write_text(json.dumps(to_json(other)))
    with pytest.raises(ConfigError, match="no numbers of net on utkface test in"):
        update_all(root, reports, weights)
    (root / "aside").rename(reports / "net" / "utkface")
    (reports / "net" / "fgnet" / "metrics.json").unlink()
    assert unchanged() == before
    # A page that cannot be made is noticed before the first is written.
    page = root / "docs" / "runs.md"
    page.write_text("without markers")
    with pytest.raises(ConfigError, match="one line"):
        update_all(root, reports, weights)
    page.unlink()
    assert unchanged() == before
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(weights))
    refused = CliRunner().invoke(app, ["report"])
    assert refused.exit_code and "AGEGENDER_WEIGHTS_DIR names others" in refused.output
    assert unchanged() == before


def test_readme_without_markers_is_refused() -> None:
    with pytest.raises(ConfigError, match="one line"):
        replace_section("no markers", "text")
