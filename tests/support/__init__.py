"""Fakes, builders and paths shared by the tests."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the repository."""
CONFIGS = ROOT / "configs"
