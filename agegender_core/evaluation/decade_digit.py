"""Where an age put together as 10 x decade + digit goes wrong: in the decade, in the digit, or in
both.

A prediction table tells both parts again, for the answer is 10 x decade + digit with whole digits
from 0 to 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agegender_core.evaluation.metrics import bootstrap_mean, persons


def decade_digit(table: pd.DataFrame) -> dict[str, Any]:
    """Estimates over images of exact age, JSON-ready; empty without any.

    «decade_accuracy»: share of right decades; «digit_mae»: error of the last digit, 0 to 9;
    «perfect_decades» and «perfect_digits»: mean absolute error in years, were the one part always
    right and the other as it is; «digits_answered» and «digits_true»: share of each last digit.
    """
    known = table["age_true"].notna() & table["age_pred"].notna()
    if not known.any():
        return {}
    true, answered = (
        table.loc[known, name].to_numpy(float).round().astype(int)
        for name in ("age_true", "age_pred")
    )
    decade, digit = true // 10, true % 10
    said_decade, said_digit = answered // 10, answered % 10
    values = {
        "decade_accuracy": said_decade == decade,
        "digit_mae": np.abs(said_digit - digit),
        "perfect_decades": np.abs(10 * decade + said_digit - true),
        "perfect_digits": np.abs(10 * said_decade + digit - true),
    }
    who = persons(table[known])
    found: dict[str, Any] = {
        name: estimate.as_dict()
        for name, value in values.items()
        if (estimate := bootstrap_mean(value.astype(float), who=who)) is not None
    }
    for name, digits in (("digits_answered", said_digit), ("digits_true", digit)):
        found[name] = (np.bincount(digits, minlength=10) / len(digits)).round(4).tolist()
    return found


def decade_digit_words(found: dict[str, Any]) -> str:
    """What ``decade_digit`` found, in a sentence."""
    common = np.argsort(found["digits_answered"])[::-1][:2]
    share = sum(found["digits_answered"][index] for index in common)
    shown = {
        name: found[name]["value"]
        for name in ("decade_accuracy", "digit_mae", "perfect_decades", "perfect_digits")
    }
    return (
        f"the decade is right for {100 * shown['decade_accuracy']:.1f} %; the last digit is off by"
        f" {shown['digit_mae']:.2f}, and is {min(common)} or {max(common)} in {100 * share:.0f} %"
        " of its answers. With perfect decades the error of age would be"
        f" {shown['perfect_decades']:.2f} years, with perfect digits {shown['perfect_digits']:.2f}"
    )
