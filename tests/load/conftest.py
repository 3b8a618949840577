"""The browser of the browser tests."""

from tests.e2e.conftest import chromium

__all__ = ["chromium"]
