"""What every test of a page starts with."""

from __future__ import annotations

import pytest

from ui.predict import session_results


@pytest.fixture(autouse=True)
def nothing_shared() -> None:
    """Answers to the app's own images are not those of another test's model."""
    session_results.SHARED.clear()
