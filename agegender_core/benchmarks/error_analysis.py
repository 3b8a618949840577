"""How long the queries of a gallery take, on a synthetic table of any size. Measured, never
asserted: machines are noisy.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from agegender_core.analysis.filters import SORTS, Filter, order, page
from agegender_core.analysis.image_quality import COLUMNS
from agegender_core.analysis.label_issues import find_label_issues
from agegender_core.analysis.nearest_errors import error_space, nearest_errors
from agegender_core.analysis.paired_comparison import compare, slice_wins
from agegender_core.analysis.plot_data import (
    age_density,
    confusion,
    cs_curve,
    error_by_age,
    gender_by_band,
    gender_reliability,
    interval_coverage,
)
from agegender_core.analysis.prediction_table import ErrorTable, read_table
from agegender_core.analysis.quality_slices import condition_table
from agegender_core.analysis.slices import slice_table, worst_slices
from agegender_core.errors import AgeGenderError
from agegender_core.evaluation.report_types import ErrorBench, Timing
from agegender_core.labels import (
    ADIENCE_GROUPS,
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    GENDERS,
    group_names,
)
from agegender_core.output.json_records import from_json, to_json
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.settings import PACKAGE

ROWS = 20_000
"""Images of the dataset the galleries are timed on."""


def drawn_predictions(
    rows: int, seed: int = 0, answers_seed: int = 1, noise: float = 6.0
) -> pd.DataFrame:
    """A synthetic prediction table: errors in years are normal with standard deviation ``noise``,
    one gender in twelve is wrong.

    ``seed`` is for the labels, ``answers_seed`` for the estimates: tables with the same ``seed``
    are about the same images.
    """
    rng, own = np.random.default_rng(seed), np.random.default_rng(answers_seed)
    age = np.clip(rng.normal(35, 20, rows), 0, 100).round()
    gender = rng.integers(0, 2, rows)
    years = np.clip(age + own.normal(0, noise, rows), 0, 100)
    wrong = own.uniform(size=rows) < 1 / 12
    names = np.array(GENDERS)
    races = rng.choice(FAIRFACE_RACES, rows)
    starts = [
        np.array([group.lo for group in groups]) for groups in (FAIRFACE_GROUPS, ADIENCE_GROUPS)
    ]
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
            "gender_probability": np.where(
                wrong, own.uniform(0.5, 1, rows), own.uniform(0.7, 1, rows)
            ),
            "race_pred": np.where(
                own.uniform(size=rows) < 0.7, races, own.choice(FAIRFACE_RACES, rows)
            ),
        }
    )


def drawn_conditions(rows: int, seed: int = 2) -> pd.DataFrame:
    """Synthetic image conditions of ``drawn_predictions``."""
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


def _drawn(rows: int, weights: int) -> dict[str, pd.DataFrame]:
    return {
        chr(97 + index): drawn_predictions(rows, 0, index + 1, 6 + 0.3 * index)
        for index in range(weights)
    }


def run_error_bench(rows: int = ROWS, repeats: int = 15) -> ErrorBench:
    """Times of the queries on ``rows`` images and three networks, in a fresh process, so that
    ``peak_memory_mb`` is theirs alone.
    """
    command = [
        sys.executable,
        "-m",
        "agegender_core.benchmarks.error_analysis",
        str(rows),
        str(repeats),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent)
    if done.returncode:
        raise AgeGenderError(
            f"the bench of the error galleries failed: {done.stderr.strip()[-500:]}"
        )
    return from_json(ErrorBench, json.loads(done.stdout))


def error_bench_table(bench: ErrorBench) -> str:
    """Markdown of ``run_error_bench``."""
    lines = markdown_head(["question", "median", "90th percentile"])
    lines += [
        markdown_row([row.what, f"{row.median_ms:.1f} ms", f"{row.p90_ms:.1f} ms"])
        for row in bench.rows
    ]
    memory = (
        f"Drawn answers of three networks on {bench.pictures:,} images. Peak memory of the"
        f" process: {bench.peak_memory_mb:,} MB."
    )
    return "\n".join([*lines, "", memory])


def error_bench_words(bench: ErrorBench) -> str:
    """``run_error_bench`` in one sentence: the slowest of each kind."""
    slowest = {
        kind: max(
            (row.median_ms for row in bench.rows if row.what.startswith(start)),
            default=0.0,
        )
        for kind, start in (("filter", "filter"), ("order", "sort"), ("plot", "plot"))
    }
    reading, longest = bench.rows[0], max(bench.rows, key=lambda row: row.median_ms)
    return (
        f"The error galleries, on drawn answers of three networks on {bench.pictures:,} images:"
        f" {reading.what} {reading.median_ms:.0f} ms; at most {slowest['filter']:.0f} ms for"
        f" a filter, {slowest['order']:.0f} ms for an order, {slowest['plot']:.0f} ms for a plot's"
        f" numbers; the longest question ({longest.what}) {longest.median_ms:.0f} ms; peak"
        f" memory {bench.peak_memory_mb:,} MB."
    )


def measure(rows: int, repeats: int) -> ErrorBench:
    """``run_error_bench`` in this process."""
    with tempfile.TemporaryDirectory() as folder:
        timed = tuple(
            _timed(what, job, repeats) for what, job in drawn_jobs(Path(folder), rows).items()
        )
    return ErrorBench(rows, timed, peak_memory_mb())


def drawn_jobs(reports: Path, rows: int) -> dict[str, Callable[[], object]]:
    """The questions, by name, of a synthetic dataset that is written into ``reports``."""
    names = write_drawn(reports, rows)
    table = read_table(reports, "drawn", names)
    whole = np.ones(rows, bool)
    jobs: dict[str, Callable[[], object]] = {
        "three networks' tables read, first page of tiles": lambda: _tiles(
            read_table(reports, "drawn", names), "error", whole
        )
    }
    return jobs | _jobs(table)


def write_drawn(reports: Path, rows: int, weights: int = 3) -> tuple[str, ...]:
    """Write into ``reports`` what ``evaluate`` and ``conditions`` would for a synthetic dataset
    «drawn»; names of the weights.
    """
    made = _drawn(rows, weights)
    for name, predictions in made.items():
        path = reports / name / "drawn" / "predictions.parquet"
        path.parent.mkdir(parents=True)
        predictions.to_parquet(path, index=False)
    (reports / "conditions").mkdir()
    drawn_conditions(rows).to_parquet(reports / "conditions" / "drawn.parquet", index=False)
    return tuple(made)


def _jobs(table: ErrorTable) -> dict[str, Callable[[], object]]:
    space, first, second = error_space(table), *table.weights[:2]
    filters = {
        "age and gender": Filter(age=("20-29", "30-39"), gender=("Female",)),
        "conditions": Filter(having=("blurred",), lacking=("dark",)),
        "right or wrong": Filter(age_is="wrong", gender_is="right"),
        "bounds of the error": Filter(least=10, most=30),
        "name of a file": Filter(file="0012"),
        "all at once": Filter(
            age=("20-29", "30-39"),
            gender=("Female",),
            having=("blurred",),
            gender_is="wrong",
            most=30,
            file="1",
        ),
    }
    jobs: dict[str, Callable[[], object]] = {
        f"filter by {name}, sort, page": partial(_filtered, table, chosen)
        for name, chosen in filters.items()
    }
    jobs |= {
        f"sort: {sort.title}": partial(_tiles, table, name, None) for name, sort in SORTS.items()
    }
    plots = {
        "predicted against true age": lambda: age_density(table, first),
        "error by true age": lambda: error_by_age(table, first),
        "confusion of age groups": lambda: confusion(table, first, "fairface9"),
        "gender by age band": lambda: gender_by_band(table, first),
        "reliability and coverage": lambda: (
            gender_reliability(table, first),
            interval_coverage(table, first),
        ),
        "cumulative score": lambda: cs_curve(table, first),
    }
    jobs |= {f"plot: {name}": work for name, work in plots.items()}
    return jobs | {
        "slices, two labels deep": lambda: slice_table(table, first, "mae"),
        "worst slices, three deep": lambda: worst_slices(table, first, "gender_accuracy", depth=3),
        "image conditions": lambda: condition_table(table, first, "mae"),
        "label suspects": lambda: find_label_issues(table, "age"),
        "look-alikes in error": lambda: nearest_errors(space, 17),
        "comparison of one metric": lambda: compare(table, first, second, ("mae",)),
        "wins by slice": lambda: slice_wins(table, first, second, "mae"),
    }


def _filtered(table: ErrorTable, chosen: Filter) -> pd.DataFrame:
    return _tiles(table, "error", chosen.mask(table, table.weights[0]))


def _tiles(table: ErrorTable, sort: str, mask: np.ndarray | None) -> pd.DataFrame:
    """Labels and answers of one page of tiles."""
    first, second = table.weights[:2]
    rows, _ = page(order(table, sort, first, second, mask), 1, 48)
    return pd.concat([table.labels.iloc[rows], table.predictions_for(first).iloc[rows]], axis=1)


def _timed(what: str, job: Callable[[], object], repeats: int) -> Timing:
    job()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - started))
    return Timing(what, median_ms(times), p90_ms(times))


def median_ms(times: Sequence[float]) -> float:
    """Median of milliseconds, as reports store it."""
    return round(statistics.median(times), 2)


def p90_ms(times: Sequence[float]) -> float:
    """90th percentile of milliseconds, as reports store it."""
    return round(sorted(times)[int(0.9 * len(times))], 2)


def peak_memory_mb() -> int:
    """Peak memory of this process. Linux's own figure if there is one: ``getrusage`` includes what
    the parent used before it started the process.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    print(json.dumps(to_json(measure(*map(int, sys.argv[1:])))))
