"""What of Predict travels in the page's address: the model that answers, so that a reload does not
change the answer. No image is ever in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ui.common import messages
from ui.common.query_state import address_params, bring_up_to_date
from ui.common.state import WEIGHTS

NAME = "weights"


def read(offered: Sequence[str]) -> None:
    """Choose the model that the address names, where the session has chosen none yet. One that is
    not ``offered`` is reported, and the default answers.
    """
    name = address_params().get(NAME)
    if name is None or WEIGHTS.is_set():
        return
    if name in offered:
        WEIGHTS.set(name)
    else:
        messages.address_problems([f"«{name}» is no model that answers here: the default does."])


def write(weights: str, default: str) -> None:
    """Have the address name the model, unless it is the ``default``."""
    bring_up_to_date({} if weights == default else {NAME: weights})
