"""Coroutines run from tests: the browser tests' driver keeps a loop running in the main thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_coroutine(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` returns, run in a loop of its own in another thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
