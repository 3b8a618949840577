"""Where an age estimated as 10 x decade + digit goes wrong: in the decade, in the digit, or in
both.

Both parts can be recovered from a prediction table, because digits are whole numbers from 0 to 9.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from agegender_core.evaluation.metrics import bootstrap_mean, persons
from agegender_core.evaluation.report_types import DecadeDigit, Estimate


def decade_digit(table: pd.DataFrame) -> DecadeDigit | None:
    """Estimates over images of exact age; None without any."""
    known = table["age_true"].notna() & table["age_pred"].notna()
    if not known.any():
        return None
    true, answered = (
        table.loc[known, name].to_numpy(float).round().astype(int)
        for name in ("age_true", "age_pred")
    )
    decade, digit = true // 10, true % 10
    answered_decade, answered_digit = answered // 10, answered % 10
    who = persons(table[known])
    return DecadeDigit(
        decade_accuracy=_mean(answered_decade == decade, who),
        digit_mae=_mean(np.abs(answered_digit - digit), who),
        perfect_decades=_mean(np.abs(10 * decade + answered_digit - true), who),
        perfect_digits=_mean(np.abs(10 * answered_decade + digit - true), who),
        digits_answered=_shares(answered_digit),
        digits_true=_shares(digit),
    )


def _mean(values: np.ndarray, who: np.ndarray | None) -> Estimate:
    found = bootstrap_mean(values.astype(float), who=who)
    assert found is not None
    return found.rounded()


def _shares(digits: np.ndarray) -> tuple[float, ...]:
    """(10,) share of each digit."""
    return tuple((np.bincount(digits, minlength=10) / len(digits)).round(4).tolist())


def decade_digit_words(found: DecadeDigit) -> str:
    """What ``decade_digit`` found, in a sentence."""
    common = np.argsort(found.digits_answered)[::-1][:2]
    share = sum(found.digits_answered[index] for index in common)
    return (
        f"the decade is right for {100 * found.decade_accuracy.value:.1f} %; the last digit is off"
        f" by {found.digit_mae.value:.2f}, and is {min(common)} or {max(common)} in"
        f" {100 * share:.0f} % of its answers. With perfect decades the error of age would be"
        f" {found.perfect_decades.value:.2f} years, with perfect digits"
        f" {found.perfect_digits.value:.2f}"
    )
