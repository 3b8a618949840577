"""Aims against reports, and commits of published weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from agegender_core.evaluation.report_types import Estimate, EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo, list_weights
from agegender_core.publishing.attention_tables import BETTER
from agegender_core.publishing.runs_page import (
    AIMS,
    MASKED,
    aim_rows,
    commits_words,
    mask_rows,
    runs_section,
)
from tests.support import ROOT
from tests.support.attention_reports import attention_report_of, change_of, map_curves, saturated


def report(mae: float, gender: float) -> EvaluationReport:
    metrics = {
        "mae": Estimate(mae, mae - 0.1, mae + 0.1, 3134),
        "gender_accuracy": Estimate(gender, gender - 0.01, gender + 0.01, 3134),
    }
    return EvaluationReport(
        weights=MASKED,
        weights_sha256="x",
        set="utkface",
        split="test",
        n=3134,
        no_face=0,
        how="crops",
        metrics=metrics,
        slices={},
    )


@pytest.mark.parametrize(
    ("mae", "gender", "met"),
    [(4.9, 0.94, [True, True]), (4.91, 0.939, [False, False]), (4.0, 0.9, [True, False])],
)
def test_an_aim_is_met_at_its_bound(mae: float, gender: float, met: list[bool]) -> None:
    rows = aim_rows([report(mae, gender)])
    assert len(rows) == len(AIMS)
    assert [row[3] for row in rows if row[0] == MASKED] == met
    assert {row[3] for row in rows if row[0] != MASKED} == {None}, "nothing was measured of these"
    (first, *_) = (row for row in rows if row[0] == MASKED)
    assert first[1:3] == (
        "UTKFace, age, MAE: at most 4.9 years",
        f"{mae:.2f} years ({mae - 0.1:.2f}–{mae + 0.1:.2f}), n 3,134",
    )


def test_without_an_attention_report_masks_are_not_measured() -> None:
    assert [row[2:] for row in mask_rows([])] == [("–", None)] * 4


@pytest.mark.parametrize(
    ("share", "cost", "verdicts", "met"),
    [
        (0.09, (0.5, 0.1, 0.9), (BETTER, BETTER), [True, True, True, False]),
        (0.10, (0.5, -0.1, 0.9), (BETTER, "worse than random"), [False, False, False, True]),
        (0.05, (0.2, 0.1, 0.3), ("no better than random", BETTER), [True, False, False, None]),
    ],
)
def test_masks_are_held_against_all_aims(
    share: float,
    cost: tuple[float, float, float],
    verdicts: tuple[str, str],
    met: list[bool],
) -> None:
    report = attention_report_of(
        weights=MASKED,
        activity={"attention1": saturated(0.0), "attention2": saturated(share)},
        changes=(change_of("all", "mean", cost),),
        changes_n=40,
        targets={
            "age": {
                "attention1": map_curves("worse than random", "worse than random"),
                "attention2": map_curves(*verdicts),
                "attention2.effect": map_curves(BETTER, BETTER),
                "occlusion": map_curves(BETTER, BETTER),
            }
        },
    )
    if met[3] is not None:
        report.targets["age"]["attention1.deviation"] = map_curves(
            BETTER, BETTER if met[3] else "no better than random"
        )
    rows = mask_rows([report])
    assert [row[3] for row in rows] == met
    assert rows[0][2] == f"0.0 %, {100 * share:.1f} %"
    assert "block 2 at" in rows[2][2] and "occlusion" not in rows[2][2]
    assert rows[3][2].startswith(("better than random: block 1 at deletion", "–"))


def test_weights_of_commits_with_changes_are_named() -> None:
    def net(name: str, **training: str) -> ModelInfo:
        return ModelInfo(
            name=name,
            title=name,
            summary="",
            files=(),
            sha256="",
            architecture="gra_net",
            heads={},
            parameters=1,
            paper="",
            terms="",
            folder=Path(),
            training=dict(training),
        )

    found = [net("a", commit="1234567"), net("b", commit="1234567-dirty"), net("c")]
    words = commits_words(found)
    assert words.startswith("2 of 3 ") and "`b`, `c`" in words and "`a`" not in words
    assert commits_words(found[:1]) == "All 1 published weights come from clean commits."


def test_the_shipped_reports_decide_every_aim() -> None:
    section = runs_section(list_weights(ROOT / "weights"), ROOT / "reports")
    assert "not measured" not in section and section.count("| `") == len(AIMS) + 4
