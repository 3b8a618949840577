"""Uploads, stored in memory under names that cannot be guessed. No name from a caller is ever
looked up on a disk, so it can mean no path of this machine, no link and no device.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LIFETIME = 600.0
"""Seconds after which an unused upload is forgotten."""
FILES = 400
"""Uploads of one caller that are stored at the same time."""
LONGEST_NAME = 255
UNKNOWN = (
    "This upload is not known here, or it was deleted after its answer or after ten minutes: upload"
    " the image again."
)
"""The one sentence for every path that is no upload, whether such a file exists or not."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class TooMuch(Exception):  # noqa: N818
    """More would be stored than is allowed. The message says what to do."""


@dataclass(frozen=True, eq=False)
class Upload:
    """``path``: by which the caller names it; ``name``: of the file, as the caller sent it;
    ``owner``: whose quota it counts against.
    """

    path: str
    name: str
    content: bytes
    owner: str


class UploadStore:
    """All uploads of this process. Thread-safe; no method blocks for longer than a look into a
    dictionary.

    ``folder``: with which paths begin, for clients that take them for paths; nothing is written
    there. ``most``: bytes of all callers together, stored or being received; ``share``: of one of
    them.
    """

    def __init__(
        self, folder: str, most: int, share: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.most, self.share = folder.rstrip("/"), most, share
        self.clock = clock
        self.others: Callable[[], int] = int
        """Bytes of uploads in another front end of this process, which count against ``most`` as
        well.
        """
        self._uploads: dict[str, Upload] = {}
        self._fixed: dict[str, Upload] = {}
        self._used: dict[str, float] = {}
        self._bytes: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def room(self, owner: str) -> Iterator[Callable[[int], None]]:
        """Counts bytes that are being received from ``owner``, at each call so many more; all of
        them are free again at the end of the block.

        The call raises ``TooMuch`` before there is too much.
        """
        taken = 0

        def take(more: int) -> None:
            nonlocal taken
            self._take(owner, more)
            taken += more

        try:
            yield take
        finally:
            self._release(owner, taken)

    def put(self, owner: str, name: str, content: bytes) -> Upload:
        """Store an upload under a path of its own. Raises ``TooMuch``."""
        name = clean_name(name)
        token = secrets.token_urlsafe(32)
        upload = Upload(f"{self.folder}/{token}/{name}", name, content, owner)
        with self._lock:
            if self._files[owner] >= FILES:
                raise TooMuch(
                    f"{FILES} uploads of yours are stored here: ask for their answers first."
                )
            self._count(owner, len(content))
            self._files[owner] += 1
            self._uploads[upload.path] = upload
            self._used[upload.path] = self.clock()
        return upload

    def fix(self, path: str, name: str, content: bytes) -> Upload:
        """Store a file of the app for good, such as an example: neither ``drop`` nor time removes
        it.
        """
        self._fixed[path] = upload = Upload(path, name, content, "")
        return upload

    def find(self, path: object) -> Upload | None:
        """The upload of exactly this path, which is thereby used; None for anything else."""
        if not isinstance(path, str):
            return None
        with self._lock:
            if path in self._used:
                self._used[path] = self.clock()
            return self._uploads.get(path) or self._fixed.get(path)

    def drop(self, upload: Upload) -> None:
        """Forget an upload, unless it is the app's own."""
        self.forget(upload.path)

    def forget(self, path: str) -> None:
        """The same by its path."""
        with self._lock:
            self._forget(path)

    def sweep(self) -> None:
        """Forget uploads that were not used for ``LIFETIME`` seconds."""
        with self._lock:
            now = self.clock()
            for path in [path for path, used in self._used.items() if now - used > LIFETIME]:
                self._forget(path)

    def totals(self) -> tuple[int, int]:
        """How many uploads are stored, and the bytes of them and of all being received."""
        with self._lock:
            return len(self._uploads), sum(self._bytes.values())

    def _forget(self, path: str) -> None:
        upload = self._uploads.pop(path, None)
        if upload is not None:
            del self._used[path]
            self._discount(upload.owner, len(upload.content))
            self._files[upload.owner] -= 1
            if not self._files[upload.owner]:
                del self._files[upload.owner]

    def _take(self, owner: str, more: int) -> None:
        with self._lock:
            self._count(owner, more)

    def _release(self, owner: str, less: int) -> None:
        with self._lock:
            self._discount(owner, less)

    def _count(self, owner: str, more: int) -> None:
        if self._bytes[owner] + more > self.share:
            raise TooMuch(
                f"Uploads of yours come to more than {self.share // 2**20} MB: give them in parts."
            )
        if sum(self._bytes.values()) + self.others() + more > self.most:
            raise TooMuch("Too many images are being uploaded right now: try again in a minute.")
        self._bytes[owner] += more

    def _discount(self, owner: str, less: int) -> None:
        self._bytes[owner] -= less
        if not self._bytes[owner]:
            del self._bytes[owner]


def clean_name(name: object) -> str:
    """A file's name as shown in answers: its last part, without characters that hide or turn
    others, 255 at most.
    """
    text = CONTROLS.sub("", name) if isinstance(name, str) else ""
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()[:LONGEST_NAME] or "image"
