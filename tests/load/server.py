"""Which process serves an address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit


def process_of(url: str) -> int:
    """Process id of the server that was started with this port. Raises ``LookupError``."""
    port = str(urlsplit(url).port)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--server.port" in words and words[words.index("--server.port") + 1] == port:
            return int(path.parent.name)
    raise LookupError(f"nothing was started with port {port}")
