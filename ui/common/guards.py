"""What every page that uses a model needs first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from agegender_core.errors import AgeGenderError
from agegender_core.settings import Settings
from ui.common import messages, services

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo


def ready(everything: bool = False) -> tuple[Settings, list[ModelInfo]]:
    """The operator's switches and the networks on offer, or ``everything`` installed, at least one;
    where they cannot be had the page says why and ends here.
    """
    try:
        settings, installed = services.settings(), services.installed_weights()
        installed = installed if everything else services.offered(installed, settings)
    except AgeGenderError as error:
        messages.cannot_start(error)
        st.stop()
    if not installed:
        messages.no_weights()
        st.stop()
    return settings, installed
