"""Processor time and memory of a command and of every process that comes of it, on Linux.

``os.times`` counts a child only once its parent has waited for it, and Ray's workers are never
waited for: what they take shows in no sum but this.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

PROC = Path("/proc")
EVERY = 0.2
"""Seconds between two looks: what a process takes after the last one is not counted."""


class Process(NamedTuple):
    """``started``: in ticks since the system's start; ``seconds``: of processor time so far."""

    parent: int
    started: int
    seconds: float


class ProcessTree:
    """Watches process ``root`` and its descendants from a thread while it is entered."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.seconds: dict[tuple[int, int], float] = {}
        self.history: list[tuple[float, float]] = [(time.time(), 0.0)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessTree:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def processor_seconds(self) -> float:
        """Of all processes, those that have ended included."""
        return sum(list(self.seconds.values()))

    def seconds_until(self, moment: float) -> float:
        """Processor seconds up to ``moment`` (seconds since the epoch), read between two looks."""
        times, seconds = zip(*self.history, strict=True)
        return float(np.interp(moment, times, seconds))

    def memory_mb(self) -> tuple[int, int]:
        """Megabytes that the living processes hold, shared pages counted once, and how many
        processes they are.
        """
        held = [kb for number in self.look() if (kb := _proportional_kb(number)) is not None]
        return round(sum(held) / 1024), len(held)

    def look(self) -> list[int]:
        """The living processes; their times so far are noted."""
        processes = dict(_processes())
        family = {self.root} | {
            number
            for number, one in processes.items()
            # One that was seen before stays, though its parent has ended.
            if (number, one.started) in self.seconds
        }
        size = 0
        while size < len(family):
            size = len(family)
            family |= {number for number, one in processes.items() if one.parent in family}
        family &= processes.keys()
        for number in family:
            one = processes[number]
            self.seconds[number, one.started] = one.seconds
        return sorted(family)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self.look()
            self.history.append((time.time(), self.processor_seconds))


def is_supported() -> bool:
    """Whether this system shows its processes."""
    return (PROC / "self" / "smaps_rollup").is_file()


def end(process: subprocess.Popen[bytes], patience: float = 30) -> None:
    """Ask a command to end, which lets it end its own processes, and kill it where it does not."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_process(number: int) -> Process:
    """Raises ``OSError`` once it has ended."""
    fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Process(int(fields[1]), int(fields[19]), seconds)


def _processes() -> Iterator[tuple[int, Process]]:
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended
                yield int(folder.name), read_process(int(folder.name))


def _proportional_kb(process: int) -> int | None:
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), None)
