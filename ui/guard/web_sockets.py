"""Messages of Streamlit's pages, looked at before Streamlit takes them apart: their size, how many
parts they have, and whether a page of ours sends such a one at all.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from starlette.types import Message, Receive, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

FRAME = 2_000_000
"""Bytes of one message. The largest of a page lists the files of an uploaded folder, 320 bytes
each: 0.64 MB for the 2,000 images that a visitor's own dataset may have.
"""
FIELDS = 50_000
"""Parts of one message, those of its parts counted; a listed file has eight. Streamlit makes an
object of each, which may be fifty times as large as its bytes.
"""
BESIDE_WIDGETS = 128 * 1024
"""Bytes of what is no widget's value: the address, the time zone, the names of messages that the
browser still has. Streamlit copies them into the session.
"""
LIGHT = 64 * 1024
"""Bytes of a message whose parts need not be counted."""
PACE = 60_000_000
"""Bytes of one client's messages in a minute, after which the next ones wait for another minute."""
MINUTE = 60.0

NEEDED = {"rerun_script", "stop_script", "app_heartbeat", "file_urls_request"}
"""What pages send. Not among them: to clear the caches of all visitors, to name the state of the
operator's repository.
"""
NEEDED_OPERATIONS = {"deferred_file", "dataframe_chunk"}

TEXT, MALFORMED, TOO_LARGE = 1003, 1002, 1009


class Pace:
    """Counts the bytes of each client by the minute. For the event loop's thread only."""

    def __init__(self) -> None:
        self._since, self._bytes = time.monotonic(), Counter[str]()

    async def take(self, client: str, size: int) -> None:
        """Count ``size`` bytes; wait first where the client has had those of this minute."""
        while self._count()[client] > PACE:
            await asyncio.sleep(max(0.0, self._since + MINUTE - time.monotonic()))
        self._bytes[client] += size

    def _count(self) -> Counter[str]:
        if time.monotonic() - self._since >= MINUTE:
            self._since = time.monotonic()
            self._bytes.clear()
        return self._bytes


PACES = Pace()


class PageSocket:
    """``receive`` and ``send`` of one web socket with the limits of this module. A message beyond
    them closes it; what no page needs is dropped.
    """

    def __init__(self, receive: Receive, send: Send, client: str) -> None:
        self._receive, self._send, self._client = receive, send, client
        self._closed = False

    async def receive(self) -> Message:
        """The next message that Streamlit may have."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            data = message.get("bytes")
            code = TEXT if data is None else trouble(data)
            if code:
                await self._send({"type": "websocket.close", "code": code})
                self._closed = True
                return {"type": "websocket.disconnect", "code": code}
            await PACES.take(self._client, len(data))
            if needed(data):
                return message

    async def send(self, message: Message) -> None:
        """Send, or drop what comes after the end."""
        if not self._closed:
            await self._send(message)


def trouble(data: bytes) -> int:
    """With what code a message ends its web socket; 0 for a sound one."""
    if len(data) > FRAME:
        return TOO_LARGE
    try:
        if len(data) > LIGHT and fields(data, BackMsg.DESCRIPTOR, FIELDS) > FIELDS:
            return TOO_LARGE
        asked = BackMsg.FromString(data)
    except (DecodeError, IndexError):
        return MALFORMED
    if len(data) - asked.rerun_script.widget_states.ByteSize() > BESIDE_WIDGETS:
        return TOO_LARGE
    return 0


def needed(data: bytes) -> bool:
    """Whether pages send such messages."""
    asked = BackMsg.FromString(data)
    kind = asked.WhichOneof("type")
    if kind == "backend_operation_request":
        return asked.backend_operation_request.WhichOneof("payload") in NEEDED_OPERATIONS
    return kind in NEEDED


def fields(data: bytes, kind: Descriptor, most: int) -> int:
    """How many fields an encoded message of ``kind`` has, with those of its parts; the count stops
    above ``most``. Nothing is decoded. Raises ``DecodeError`` and ``IndexError`` for what is none.
    """
    count, parts = 0, [(0, len(data), kind)]
    while parts:
        at, end, kind = parts.pop()
        while at < end:
            count += 1
            if count > most:
                return count
            tag, at = _varint(data, at)
            wire = tag & 7
            if wire == 0:
                _, at = _varint(data, at)
            elif wire == 2:
                size, at = _varint(data, at)
                field = kind.fields_by_number.get(tag >> 3)
                if field is not None and field.type == FieldDescriptor.TYPE_MESSAGE:
                    parts.append((at, at + size, field.message_type))
                at += size
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
            else:
                raise DecodeError("a group")
            if at > end:
                raise DecodeError("cut")
    return count


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise DecodeError("a number of more than 64 bits")
