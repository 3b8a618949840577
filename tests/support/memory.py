"""Memory of this process, measured from a point one chooses."""

from __future__ import annotations

from pathlib import Path

_OURS = Path("/proc/self")


def peak_mb() -> float:
    """Most memory this process has held, in megabytes, since it started or since
    ``forget_the_peak``.

    ``getrusage`` must not be asked: Linux counts what the parent held before it started the
    process, so that a test run of 3 GB made every child look that large, and a difference of two
    such figures is always nought.
    """
    return int((_OURS / "status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def forget_the_peak() -> float:
    """Let the peak start again from what is held now; returns that, in megabytes."""
    (_OURS / "clear_refs").write_text("5")
    return peak_mb()
