"""What the memorisation experiment says of the paper's error, from drawn curves."""

from __future__ import annotations

from collections.abc import Sequence

from agegender_core.publishing.memorisation import memorisation_section
from agegender_core.training.curves import LearningCurve, LearningStage, MeasuredOn

MEASURED = MeasuredOn(split="test", resplit="random", pictures=3134, augmented=False)


def curve(errors: Sequence[tuple[float, float]], **changes: object) -> LearningCurve:
    """(training, test) error after each pass."""
    rows = tuple(
        {"epoch": float(index), "minutes": 1.0, "train utkface/mae": train, "utkface/mae": test}
        for index, (train, test) in enumerate(errors, start=1)
    )
    fixed: dict[str, object] = {
        "experiment": "By heart",
        "weights": "memorise",
        "measured_on": MEASURED,
    }
    stage = LearningStage("from scratch", 17252, rows, watched=3000)
    return LearningCurve(**(fixed | changes), stages=(stage,))  # type: ignore[arg-type] # drawn


def test_the_table_has_the_first_pass_below_the_claim_the_best_and_the_last() -> None:
    found = memorisation_section([curve([(9, 8), (4, 6), (1.07, 6.5), (1.06, 7), (0.2, 7.5)])])
    rows = [line for line in found.splitlines() if line.startswith("|")][2:]
    assert rows == [
        "| 2 | lowest test error | 4.000 years | 6.000 years | – | – |",
        "| 4 | first training error below 1.07 | 1.060 years | 7.000 years | – | – |",
        "| 5 | last | 0.200 years | 7.500 years | – | – |",
    ]
    assert "3,000 of its training images and on 3,134 test images" in found
    assert "from pass 4 on" in found and "lower after 4 of 5 passes" in found
    assert "training error is never lower than the validation error" in found


def test_a_network_that_does_not_get_there_says_no() -> None:
    found = memorisation_section([curve([(9, 8), (4, 6)])])
    assert "No: in 2 passes" in found and "By its size" not in found
    assert "first training error" not in found


def test_without_an_experiment_there_is_no_section() -> None:
    assert memorisation_section([]) == ""
    assert memorisation_section([curve([(1, 2)], experiment=None)]) == ""
    assert memorisation_section([curve([(1, 2)], measured_on=None)]) == ""
