"""Tables by age band: errors with their bias, the weak ends, and where the interval fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agegender_core.evaluation.report_types import Estimate, EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.publishing.band_tables import (
    coverage_misses,
    errors_by_band,
    expected_misses,
)
from agegender_core.publishing.headline import NUMBERS, headline_table


def info(name: str, **changes: object) -> ModelInfo:
    values = {
        "name": name,
        "title": name,
        "summary": "",
        "files": (),
        "sha256": "abc",
        "architecture": "multitask_cnn",
        "heads": {"age": 101, "gender": 2},
        "paper": "",
        "terms": "",
        "folder": Path(),
        "training": {"sets": ["utkface"]},
    }
    return ModelInfo(**(values | changes))  # type: ignore[arg-type]  # of one dictionary


def share(value: float, n: int) -> dict[str, Estimate]:
    return {"interval_coverage": Estimate(value, value - 0.05, value + 0.05, n)}


def errors(mae: float, bias: float, n: int) -> dict[str, Estimate]:
    return {
        "mae": Estimate(mae, mae - 0.5, mae + 0.5, n),
        "bias": Estimate(bias, bias - 0.5, bias + 0.5, n),
    }


def report(weights: str, dataset: str, whole: float, **slices: object) -> EvaluationReport:
    return EvaluationReport(
        weights=weights,
        weights_sha256="abc",
        set=dataset,
        split="test",
        n=1000,
        no_face=0,
        how="",
        intervals="",
        metrics=errors(4.5, 0.0, 1000)
        | share(whole, 1000)
        | {"gender_gap": Estimate(-0.021, -0.04, -0.002, 1000)},
        slices=slices,  # type: ignore[arg-type]  # of keywords
    )


def test_every_cell_that_is_off_is_listed_with_its_chance() -> None:
    found = report(
        "net",
        "utkface",
        0.81,
        age_answered={
            "0-9": share(0.70, 400),  # listed
            "10-19": share(0.50, 99),  # too few
            "20-29": share(0.829, 500),  # near enough
            "30-39": share(0.90, 100),  # listed
        },
        gender={"Female": share(0.76, 500), "Male": share(0.80, 500)},
        race={"White": share(0.1, 500)},
    )
    elsewhere = report("net", "fgnet", 0.501, age_answered={"0-9": share(0.4, 400)})
    compared = report("trial", "utkface", 0.2)
    entries = [info("net"), info("trial", for_comparison=True)]
    text = coverage_misses(entries, [found, elsewhere, compared])
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert text.startswith("3 of 6 cells") and len(rows) == 3
    assert rows[0].startswith("| `net` | UTKFace | answered age | 0-9 | 400 | 70.0 (65.0–75.0)")
    assert "| 76.1–83.9 |" in rows[0] and "| 30-39 | 100 | 90.0" in rows[1]
    assert "| gender | Female | 500 | 76.0" in rows[2]
    assert "* `net`, FG-NET: 50.1 (45.1–55.1) %, n 1,000" in text and "trial" not in text
    assert "would miss in about 1 of them by chance" in text and "about 2 in all, because" in text
    assert coverage_misses([], []) == ""


def test_expected_misses_are_those_of_drawn_samples() -> None:
    generator = np.random.default_rng(0)
    cells = [(400, 0.5), (1000, 0.25), (120, 1.0)]
    for fitted in (False, True):
        drawn = 0.0
        for n, share in cells:
            right = np.full(200_000, 0.8)
            if fitted:  # the share that a quantile of so many images leaves below it
                count = round(share * n)
                right = generator.beta(round(0.8 * (count + 1)), round(0.2 * (count + 1)), 200_000)
            held = generator.binomial(n, right) / n
            drawn += float((np.abs(held - 0.8) > 0.03).mean())
        assert expected_misses(cells, fitted) == pytest.approx(drawn, rel=0.1)
    assert expected_misses([]) == 0
    assert expected_misses([(400, 0.0)]) == expected_misses([(400, 0.5)], fitted=False)


def test_errors_by_band_name_the_weak_ends() -> None:
    bands = {
        "0-9": errors(1.5, 0.9, 300),
        "10-19": errors(8.0, 7.0, 20),  # too few to be called weak
        "40-49": errors(9.0, -1.0, 300),  # no end
        "70+": errors(8.9, -6.8, 196),
    }
    text = errors_by_band([info("net")], [report("net", "utkface", 0.8, age=bands)])
    assert "| 1.50; +0.90; 300 | 8.00; +7.00; 20 |" in text and "8.90; -6.80; 196" in text
    weak = text.partition("not mended")[2].splitlines()[-1]
    assert weak == (
        "* `net`, UTKFace: 70+ 8.90 (8.40–9.40) years, -6.80 on average (all: 4.50 (4.00–5.00))"
    )
    even = {name: errors(4.5, 0.1, 300) for name in bands}
    assert "not mended" not in errors_by_band(
        [info("net")], [report("net", "utkface", 0.8, age=even)]
    )
    assert errors_by_band([info("net")], []) == ""


def test_the_headline_has_the_gender_gap_and_where_the_interval_fails() -> None:
    reports = [report("net", "utkface", 0.81), report("net", "fgnet", 0.501)]
    text = headline_table([info("net")], reports, None)
    assert "women less correct for men" in text and "-2.1 points (-4.0 to -0.2)" in text
    assert "50.1 % (45.1–55.1)" in text
    assert ("fgnet", "interval_coverage") in {number[:2] for number in NUMBERS}
