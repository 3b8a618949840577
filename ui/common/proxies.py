"""Gradio without the proxies of the environment: its web clients serve this server alone, and no
proxy leads back to it.

Gradio makes httpx clients when it is imported, and calls itself through one when it is launched.
These read the variables: an unknown scheme, a missing package for SOCKS or a missing file ends the
import of Gradio, and a proxy that works answers in the place of this server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@contextmanager
def hidden() -> Iterator[None]:
    """Within, the environment names no proxy and no certificates. For the start alone: other
    threads see it, too.
    """
    names = [name for name in os.environ if name.lower().endswith("_proxy") or name in CERTIFICATES]
    removed = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(removed)
