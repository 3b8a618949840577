"""The load script in small: what CI can afford of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import running_app
from tests.load.browsers import visit_together
from tests.load.clients import Crowd, wait_until_ready
from tests.load.server import process_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(info.installed for info in list_weights()),
        reason="no trained weights are installed",
    ),
]


def test_many_clients_get_their_own_answers_and_memory_stays() -> None:
    with running_app(script="serve.py") as url:
        wait_until_ready(url)
        tally = Crowd(url, clients=20, pictures=120, server=process_of(url)).run()
        assert tally.errors == [] and tally.mixed_up == [] and tally.answered == 120
        first, last = tally.memory[0][1], tally.memory[-1][1]
        assert last - first < 250, (
            f"{first:.0f} MB after {tally.memory[0][0]} images, {last:.0f} after"
            f" {tally.memory[-1][0]}"
        )


def test_overload_is_refused_politely_and_passes() -> None:
    with running_app(
        script="serve.py", switches={"AGEGENDER_CONCURRENT": "1", "AGEGENDER_WAITING": "2"}
    ) as url:
        wait_until_ready(url)
        tally = Crowd(url, clients=16, pictures=48, patient=False).run()
        assert tally.errors == [] and tally.mixed_up == []
        assert tally.refused > 0 and tally.answered > 0 and tally.refused + tally.answered == 48
        after = Crowd(url, clients=1, pictures=2, patient=False).run()
        assert after.answered == 2 and httpx.get(f"{url}/ready").status_code == 200


@pytest.mark.e2e
def test_browser_sessions_at_once_are_kept_apart(chromium: str, driver: Any) -> None:
    with running_app(script="serve.py") as url:
        wait_until_ready(url)
        for wanted, found in visit_together(driver, url, 6):
            assert found == wanted
