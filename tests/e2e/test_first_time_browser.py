"""A first visit needs few clicks: an answer without one, one's own with one, the reason with one
more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import first_time
from tests.e2e.harness import visiting

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("width", [1280, 390])
def test_from_opening_to_why_in_four_clicks(
    browser: Any, server_url: str, portrait_file: Path, width: int
) -> None:
    with visiting(browser, server_url) as go:
        page = go(width, 844, before=first_time.COUNT_CLICKS)
        counted = [
            first_time.clicks(page) for _ in first_time.steps(page, server_url, portrait_file)
        ]
        assert counted == [0, 1, 2] and counted[-1] <= first_time.MOST_CLICKS
        assert "face=1" in page.url
        assert page.locator(".stage img").get_attribute("alt").startswith("Face 1 of portrait.jpg")
