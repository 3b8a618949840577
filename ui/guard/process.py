"""Settings of the operating system that the process changes at its start."""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_FROM = 1024 * 1024
"""Bytes from which glibc gives an allocation pages of its own, which go back to the system when it
is freed.
"""


def settle_memory() -> bool:
    """Return the memory of large images to the system. By default glibc raises the size from which
    it does so with each large block that is freed, and never returns smaller ones. The same as
    ``MALLOC_MMAP_THRESHOLD_``. Returns whether this C library has the setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        return bool(library.mallopt(M_MMAP_THRESHOLD, MMAP_FROM)) and bool(
            library.mallopt(M_TRIM_THRESHOLD, 4 * MMAP_FROM)
        )
    except (OSError, AttributeError):
        return False


def allow_descriptors() -> None:
    """As many open connections as the system lets this process have."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65536 if hard == resource.RLIM_INFINITY else hard
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
