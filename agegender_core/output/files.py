"""Files written completely or not at all, and JSON reports."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces ``path`` at the end of the block: complete or not at all, even
    after a power failure. An exception leaves ``path`` as it was. Raises ``OSError`` where the
    folder cannot be written.
    """
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; folders are made. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any, *, ascii_only: bool = True) -> None:
    """Write a report: indented by one space, with a final line break, atomically. Raises
    ``OSError``, and ``TypeError`` for what JSON cannot hold. ``ascii_only``: other characters as
    escapes.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=ascii_only) + "\n")
