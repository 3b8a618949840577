"""How long the questions of a gallery take, on a drawn table of any size. Measured, never asserted: machines are noisy."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from agegender_core.error_analysis.compare import compare, slice_wins
from agegender_core.error_analysis.conditions import COLUMNS
from agegender_core.error_analysis.filters import Filter, order, page
from agegender_core.error_analysis.lookalikes import error_space, lookalikes
from agegender_core.error_analysis.plots_data import age_density, confusion, cs_curve, error_by_age, gender_by_band, interval_coverage
from agegender_core.error_analysis.slices import slice_table, worst_slices
from agegender_core.error_analysis.suspects import label_suspects
from agegender_core.error_analysis.table import ErrorTable, make_table
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS, FAIRFACE_RACES, GENDERS, group_names


def drawn_predictions(rows: int, seed: int = 0, answers_seed: int = 1, noise: float = 6.0) -> pd.DataFrame:
    """A made-up prediction table: errors in years are normal with standard deviation ``noise``, one gender in twelve is wrong.

    ``seed`` draws the labels, ``answers_seed`` the answers: tables of one ``seed`` are about the same pictures.
    """
    rng, own = np.random.default_rng(seed), np.random.default_rng(answers_seed)
    age = np.clip(rng.normal(35, 20, rows), 0, 100).round()
    gender = rng.integers(0, 2, rows)
    years = np.clip(age + own.normal(0, noise, rows), 0, 100)
    wrong = own.uniform(size=rows) < 1 / 12
    names = np.array(GENDERS)
    races = rng.choice(FAIRFACE_RACES, rows)
    starts = [np.array([group.lo for group in groups]) for groups in (FAIRFACE_GROUPS, ADIENCE_GROUPS)]
    placed = [np.clip(np.searchsorted(start, years, side="right") - 1, 0, None) for start in starts]
    return pd.DataFrame(
        {
            "file": [f"{index:06d}.jpg" for index in range(rows)],
            "subject": None,
            "split": "test",
            "age_true": age,
            "age_range_true": None,
            "gender_true": names[gender],
            "race_true": races,
            "face_found": True,
            "age_pred": years,
            "age_low": np.clip(years - 1.28 * noise, 0, 100),
            "age_high": np.clip(years + 1.28 * noise, 0, 100),
            "fairface9_pred": np.array(group_names(FAIRFACE_GROUPS))[placed[0]],
            "adience8_pred": np.array(group_names(ADIENCE_GROUPS))[placed[1]],
            "gender_pred": names[np.where(wrong, 1 - gender, gender)],
            "gender_probability": np.where(wrong, own.uniform(0.5, 1, rows), own.uniform(0.7, 1, rows)),
            "race_pred": np.where(own.uniform(size=rows) < 0.7, races, own.choice(FAIRFACE_RACES, rows)),
        }
    )


def drawn_conditions(rows: int, seed: int = 2) -> pd.DataFrame:
    """Made-up picture conditions of ``drawn_predictions``."""
    rng = np.random.default_rng(seed)
    columns = {
        "file": [f"{index:06d}.jpg" for index in range(rows)],
        "readable": True,
        "face_found": rng.uniform(size=rows) > 0.01,
        "sharpness": rng.normal(0.3, 0.07, rows),
        "luminance": rng.normal(0.45, 0.12, rows),
        "crushed": rng.exponential(0.02, rows),
        "blown": rng.exponential(0.02, rows),
        "chroma": rng.exponential(0.15, rows),
        "face_side": rng.normal(120, 15, rows),
        "yaw": rng.normal(0, 25, rows),
        "roll": rng.normal(0, 4, rows),
    }
    return pd.DataFrame(columns)[list(COLUMNS)]


def drawn_table(rows: int, weights: int = 3) -> ErrorTable:
    """A made-up table of ``rows`` pictures and some ``weights``, named a, b, c and so on, each a little worse than the one before."""
    made = {chr(97 + index): drawn_predictions(rows, 0, index + 1, 6 + 0.3 * index) for index in range(weights)}
    return make_table("drawn", made, drawn_conditions(rows))


def run_error_bench(rows: int = 20_000, repeats: int = 7) -> dict[str, object]:
    """Median and largest milliseconds of each question about ``rows`` pictures and three networks, and the process's peak memory."""
    table = drawn_table(rows)
    space = error_space(table)
    chosen = Filter(age=("20-29", "30-39"), gender=("Female",), having=("blurred",), gender_is="wrong")
    jobs: dict[str, Callable[[], object]] = {
        "table": lambda: drawn_table(rows),
        "filter, sort, page": lambda: page(order(table, "error", "a", mask=chosen.mask(table, "a")), 3, 48),
        "sort all by disagreement": lambda: page(order(table, "age_disagreement", "a", "b"), 400, 48),
        "slices, two labels deep": lambda: slice_table(table, "a", "mae"),
        "worst slices, three deep": lambda: worst_slices(table, "a", "gender_accuracy", depth=3),
        "plots": lambda: _plots(table),
        "label suspects": lambda: label_suspects(table, "age"),
        "look-alikes": lambda: lookalikes(space, 17),
        "comparison of one metric": lambda: compare(table, "a", "b", ("mae",)),
        "wins by slice": lambda: slice_wins(table, "a", "b", "mae"),
    }
    return {"rows": rows, "jobs": {name: _time(job, repeats) for name, job in jobs.items()}, "peak_memory_mb": _peak_memory_mb()}


def _plots(table: ErrorTable) -> None:
    age_density(table, "a")
    error_by_age(table, "a")
    confusion(table, "a", "fairface9")
    gender_by_band(table, "a")
    interval_coverage(table, "a")
    cs_curve(table, "a")


def _time(job: Callable[[], object], repeats: int) -> dict[str, float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - started))
    return {"median_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1)}


def _peak_memory_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
