"""Does GRA_Net's 1.07 years look like an error on images seen in training? From the learning curve
of a network left to learn its training images by heart.
"""

from __future__ import annotations

from collections.abc import Sequence

from agegender_core.evaluation.published_results import CLAIMS, DATASET_TITLES
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.training.curves import DEALT, LearningCurve, Row

SET = "utkface"
TRAINING, HELD_OUT = f"train {SET}/mae", f"{SET}/mae"
CLAIMED = next(
    claim.value
    for claim in CLAIMS
    if (claim.system, claim.set, claim.metric) == ("gra_net", SET, "mae")
)


def memorisation_section(curves: Sequence[LearningCurve]) -> str:
    """Markdown: a heading, a table and what follows, for the first experiment among ``curves``
    whose errors on training and on held-out images were both kept; empty without one.
    """
    for curve in curves:
        rows = [row for row in curve.joined() if TRAINING in row and HELD_OUT in row]
        if curve.experiment and curve.measured_on and rows:
            return "\n\n".join(
                [
                    f"### Does {CLAIMED:.2f} years look like an error on training images?",
                    _setting(curve),
                    _table(rows),
                    _verdict(rows),
                ]
            )
    return ""


def _setting(curve: LearningCurve) -> str:
    found = curve.measured_on
    assert found is not None
    dealt = f", {DEALT[found.resplit]}" if found.resplit else ""
    augmented = "" if found.augmented else ", without augmentation"
    return (
        f"{curve.experiment}: GRA_Net at a quarter of the paper's width, trained on"
        f" {curve.stages[-1].pictures or 0:,} images of {DATASET_TITLES[SET]}{dealt}"
        f"{augmented}, one seed. Measured after every pass on {curve.stages[-1].watched:,} of its"
        f" training images and on {found.pictures:,} {found.split} images."
    )


def _table(rows: Sequence[Row]) -> str:
    """First pass with a training error below the claim, least error on held-out images, last."""
    found = [("lowest test error", _best(rows)), ("last", rows[-1])]
    if (below := _below(rows)) is not None:
        found.insert(1, (f"first training error below {CLAIMED:.2f}", below))
    heads = ["pass", "which", "age, MAE, training images", "test images"]
    lines = markdown_head([*heads, "gender, training images", "test images"])
    for title, row in sorted(found, key=lambda pair: pair[1]["epoch"]):
        cells = [f"{row['epoch']:.0f}", title]
        for name in ("mae", "gender_accuracy"):
            for key in (f"train {SET}/{name}", f"{SET}/{name}"):
                cells.append(_cell(name, row.get(key)))
        lines.append(markdown_row(cells))
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    """Years with three decimals, so that what lies just below the claim is seen to."""
    if value is None:
        return "–"
    return f"{value:.3f} years" if name == "mae" else METRIC_FORMATS[name].text(value)


def _best(rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: row[HELD_OUT])


def _below(rows: Sequence[Row]) -> Row | None:
    """The first row whose training error is below the paper's claim."""
    return next((row for row in rows if row[TRAINING] < CLAIMED), None)


def _verdict(rows: Sequence[Row]) -> str:
    below, best, last = _below(rows), _best(rows), rows[-1]
    if below is None:
        return (
            f"No: in {last['epoch']:.0f} passes the error on training images did not fall below"
            f" {last[TRAINING]:.2f} years."
        )
    apart = sum(row[TRAINING] < row[HELD_OUT] for row in rows)
    return (
        f"By its size, yes: from pass {below['epoch']:.0f} on the training images are learned to"
        f" within {CLAIMED:.2f} years, while the error on test images is never below"
        f" {best[HELD_OUT]:.2f} years. By the shape of the curves, no: the paper writes of its"
        " Figures 12 to 16 that both errors fall as epochs go on, UTKFace's with many fluctuations,"
        " and that the training error is never lower than the validation error. Here the training"
        f" error is lower after {apart} of {len(rows)} passes, and the test error is lowest after"
        f" pass {best['epoch']:.0f} and {last[HELD_OUT]:.2f} years at the end: learning by heart"
        " shows itself on any images that are held out. Curves like the paper's would follow if"
        " what it calls validation images had been trained on too, or if its training error was"
        " taken with regularisation that its validation error was not; the paper does not say, and"
        " one network at a quarter of its width does not decide it."
    )
