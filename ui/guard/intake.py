"""Reads the files of a multipart body as they arrive: into memory, each below its limit, and none
if the client breaks off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from ui.guard.bodies import Refused, chunks, header
from ui.guard.uploads import LONGEST_NAME

FIELD = "files"
HEADERS = 4096
"""Bytes of one part's headers."""
ENVELOPE = 1024 * 1024
"""Bytes a multipart body may have beside its files."""


@dataclass
class Intake:
    """``files``: (name, content) of the files so far. ``largest``: bytes of one; ``most``: how
    many. ``take``: called with a number of bytes before they are stored; ``received``: called with
    a file's name and the number of bytes that have arrived.
    """

    largest: int
    most: int
    take: Callable[[int], None]
    received: Callable[[str, int], None] = lambda name, size: None
    files: list[tuple[str, bytes]] = field(default_factory=list)

    async def read(self, scope: Scope, receive: Receive) -> list[tuple[str, bytes]]:
        """All files of the request's body. Raises ``Refused`` and ``Gone``, and what ``take``
        raises.
        """
        kind, options = parse_options_header(header(scope, b"content-type"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise Refused(
                400, f"Send the images as multipart/form-data, in fields called {FIELD!r}."
            )
        words = (
            f"The upload is larger than is allowed: {self.most} files of {self.largest // 2**20} MB"
            " each."
        )
        self._begin()
        parser = MultipartParser(boundary, self._callbacks())
        whole = self.largest * self.most + ENVELOPE
        try:
            async for piece in chunks(scope, receive, whole, words):
                for start in range(0, len(piece), 16384):
                    parser.write(piece[start : start + 16384])
                    # A body may be here as a whole: others are served between its pieces.
                    await asyncio.sleep(0)
            parser.finalize()
        except FormParserError as error:
            raise Refused(400, "The multipart body is damaged: send it again.") from error
        if not self._ended:
            raise Refused(400, "The multipart body is damaged: send it again.")
        if not self.files:
            raise Refused(
                400, f"The upload contains no file: send images in fields called {FIELD!r}."
            )
        return self.files

    def _begin(self) -> None:
        self._content = bytearray()
        self._header_bytes = 0
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._file = ""
        self._ended = False

    def _callbacks(self) -> dict:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": lambda data, start, end: self._header(data[start:end], b""),
            "on_header_value": lambda data, start, end: self._header(b"", data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._headers, self._content, self._header_bytes = {}, bytearray(), 0

    def _header(self, name: bytes, value: bytes) -> None:
        self._name += name
        self._value += value
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADERS:
            raise Refused(
                400, f"A file's headers are longer than {HEADERS} bytes: give it a shorter name."
            )

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") != FIELD.encode() or b"filename" not in options:
            raise Refused(400, f"Only files are taken, in fields called {FIELD!r}.")
        self._file = options[b"filename"].decode("utf-8", "replace")
        if len(self._file) > LONGEST_NAME:
            raise Refused(
                400,
                f"A file's name is longer than {LONGEST_NAME} characters: give it a shorter one.",
            )
        if len(self.files) >= self.most:
            raise Refused(413, f"More than {self.most} files: upload them in parts.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if len(self._content) + end - start > self.largest:
            raise Refused(
                413, f"A file exceeds the maximum allowed size of {self.largest // 2**20} MB."
            )
        self.take(end - start)
        self._content += data[start:end]
        self.received(self._file, end - start)

    def _part_end(self) -> None:
        self.files.append((self._file, bytes(self._content)))
        self._content = bytearray()

    def _end(self) -> None:
        self._ended = True
