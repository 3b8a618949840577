"""How torch's threads wait for each other.

Torch's operations end where the last of its OpenMP threads does. GNU's OpenMP has the others spin
meanwhile, for milliseconds: fine where each has a core to itself. Where anything else runs on these
cores (a second visitor, another program), they spin through the time of the thread they wait for,
hundreds of times an image: on two busy cores a photo took ten times the processor time it takes
with threads that soon go to sleep. Sleeping threads take some microseconds to wake.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "10000"
"""Rounds of waiting, some tens of microseconds, before a thread sleeps."""
OWN_CHOICE = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def sleep_soon(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have threads that wait sleep soon, in this process and those it starts, unless the
    environment says otherwise. Takes effect where torch is not imported yet; for a program's start,
    not for the package as a library.
    """
    if not any(name in environment for name in OWN_CHOICE):
        environment["GOMP_SPINCOUNT"] = SPINS
