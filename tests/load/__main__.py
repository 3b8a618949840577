"""The server under load: ``python -m tests.load --clients 20 --pictures 1000 [--browsers 20]
[--hostile] [--save]``.

Starts its own server, has so many API clients ask at once, then so many browser sessions of the
Streamlit app, and reports answers, refusals, mix-ups, waiting times and the server's memory. Exit
code 1 where anything was lost or mixed up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from playwright.sync_api import sync_playwright

from agegender_core.benchmarks.networks import processor
from tests.e2e.harness import ROOT, running_app
from tests.load.browsers import visit_together
from tests.load.clients import Crowd, memory_mb, wait_until_ready
from tests.load.hostile import Hostile
from tests.load.server import process_of

SETTLED = 0.2
"""Share of the images after which memory should be flat."""


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--browsers", type=int, default=20)
    parser.add_argument(
        "--hostile", action="store_true", help="ask as often again, beside a client that attacks"
    )
    parser.add_argument("--save", action="store_true", help="keep the numbers in reports/load.json")
    asked = parser.parse_args()
    with running_app(script="serve.py") as url:
        wait_until_ready(url)
        server = process_of(url)
        result: dict[str, object] = {"machine": processor()}
        result["api"] = api = _api(url, server, asked.clients, asked.pictures)
        good = not api["errors"] and not api["mixed_up"] and api["answered"] == asked.pictures
        if asked.hostile:
            with Hostile(url) as hostile:
                result["beside_a_hostile_client"] = beside = _api(
                    url, server, asked.clients, asked.pictures
                )
            beside["hostile_calls"], beside["hostile_calls_let_in"] = (
                hostile.asked,
                hostile.accepted,
            )
            good = (
                good
                and not beside["errors"]
                and not beside["mixed_up"]
                and beside["answered"] == asked.pictures
            )
        if asked.browsers:
            result["browsers"] = browsers = _browsers(url, server, asked.browsers)
            good = good and browsers["right"] == asked.browsers
    print(json.dumps(result, indent=1))
    if asked.save:
        (ROOT / "reports" / "load.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if good else 1


def _api(url: str, server: int, clients: int, pictures: int) -> dict:
    started = time.monotonic()
    tally = Crowd(url, clients, pictures, server).run()
    took = time.monotonic() - started
    settled = [mb for count, mb in tally.memory if count >= SETTLED * pictures] or [
        memory_mb(server)
    ]
    return {
        "clients": clients,
        "pictures": pictures,
        "answered": tally.answered,
        "refused_and_asked_again": tally.refused,
        "mixed_up": tally.mixed_up,
        "errors": tally.errors[:5],
        "pictures_a_second": round(tally.answered / took, 1),
        "median_s": round(statistics.median(tally.seconds), 2),
        "longest_s": round(max(tally.seconds), 2),
        "memory_mb_first": round(tally.memory[0][1]) if tally.memory else None,
        "memory_mb_settled": round(settled[0]),
        "memory_mb_halfway": round(settled[len(settled) * 3 // 8]),
        "memory_mb_last": round(settled[-1]),
        "memory_mb_most": round(max(settled)),
        "descriptors_first_last": [tally.open[0][0], tally.open[-1][0]] if tally.open else None,
        "threads_first_last": [tally.open[0][1], tally.open[-1][1]] if tally.open else None,
    }


def _browsers(url: str, server: int, count: int) -> dict:
    started = time.monotonic()
    with sync_playwright() as driver:
        answers = visit_together(driver, url, count)
    return {
        "sessions": count,
        "right": sum(found == wanted for wanted, found in answers),
        "seconds": round(time.monotonic() - started, 1),
        "memory_mb_last": round(memory_mb(server)),
    }


if __name__ == "__main__":
    sys.exit(main())
