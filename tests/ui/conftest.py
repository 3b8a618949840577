"""What every test of a page starts with."""

from __future__ import annotations

from types import ModuleType

import pytest

from ui.common import session_results
from ui.gradio.preparation import prepare


@pytest.fixture(autouse=True)
def nothing_shared() -> None:
    """Answers to the app's own images are not those of another test's model."""
    session_results.SHARED.clear()


@pytest.fixture(scope="session")
def gradio_parts() -> ModuleType:
    """What Gradio's front end is made of; imported once Gradio knows where it may write."""
    prepare()
    from ui.gradio import components

    return components
