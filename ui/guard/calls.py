"""Calls of Gradio's functions, rebuilt from what a caller sent: only values that the function's
inputs may have are passed on, and files only as uploads of ours. Whatever Gradio would fetch, open,
store or echo never reaches it.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ui.compat.gradio_private import function_number
from ui.guard.bodies import Refused
from ui.guard.uploads import LONGEST_NAME, UNKNOWN, Upload, UploadStore, clean_name

BRACKETS, COMMAS = 4000, 20_000
"""A call has at most so many: with more, parsing takes more memory than the text itself."""
TEXT = 300
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
DAMAGED = "The data: address is damaged: it needs base64 after the comma."
MALFORMED = (
    "The call is no JSON object as the API describes it: a key «data» with a list of the arguments."
)


@dataclass(frozen=True)
class Call:
    """``body``: for Gradio; ``uploads``: those it names; ``arguments``: as the function gets them,
    before any of it is looked at.
    """

    body: dict[str, Any]
    uploads: tuple[Upload, ...]
    arguments: tuple[Any, ...]


@dataclass
class Reader:
    """``largest``: bytes of one file; ``most``: files of one call; ``owner``: whom they count
    against.
    """

    store: UploadStore
    owner: str
    largest: int
    most: int

    def __post_init__(self) -> None:
        self.named: list[Upload] = []
        self.made: list[Upload] = []

    def data(self, sent: Any, inputs: Sequence[Any], names: Sequence[str]) -> list[Any]:
        """The arguments for components ``inputs``; those left out at the end are the components'
        own values. Raises ``Refused``.
        """
        if not isinstance(sent, list):
            raise Refused(422, MALFORMED)
        if len(sent) > len(inputs):
            raise Refused(
                422,
                f"The call has {len(sent)} arguments, and the function takes {len(inputs)}:"
                f" {', '.join(names)}.",
            )
        read = []
        for index, (block, name) in enumerate(zip(inputs, names, strict=True)):
            value = sent[index] if index < len(sent) else _own(block)
            read.append(self._argument(block, name, value))
        return read

    def _argument(self, block: Any, name: str, value: Any) -> Any:
        kind = type(block).__name__.lower()
        if kind == "image":
            return self._file(value, name)
        if kind == "file":
            many = value if isinstance(value, list) else [value] if value else []
            if len(many) > self.most:
                raise wrong(name, f"give 1 to {self.most} images, not {len(many)}")
            return [found for one in many if (found := self._file(one, name)) is not None] or None
        if block.stateful:
            return None
        if kind == "number":
            return _number(value, name)
        if isinstance(value, str) and len(value) > TEXT:
            raise wrong(name, f"is longer than {TEXT} characters")
        if isinstance(value, str) and kind == "dropdown" and not block.allow_custom_value:
            if value not in [
                choice[-1] if isinstance(choice, list | tuple) else choice
                for choice in block.choices
            ]:
                raise wrong(name, "is not one of the choices")
        elif not (
            value is None
            or isinstance(value, bool | str)
            or (isinstance(value, int | float) and math.isfinite(value))
        ):
            raise wrong(name, "is neither a text nor a number")
        return value

    def _file(self, value: Any, name: str) -> dict[str, Any] | None:
        if value is None or value == "":
            return None
        file = value if isinstance(value, dict) else {"path": value}
        path, url = file.get("path"), file.get("url")
        inline = next(
            (one for one in (path, url) if isinstance(one, str) and one[:5].lower() == "data:"),
            None,
        )
        if inline is not None:
            upload = self._inline(inline, name)
        elif path is None and not isinstance(url, str):
            return None
        else:
            upload = self.store.find(path)
        if upload is None:
            raise wrong(name, UNKNOWN)
        if len(self.named) >= self.most:
            raise wrong(name, f"more than {self.most} files")
        self.named.append(upload)
        shown = file.get("orig_name")
        shown = (
            clean_name(shown)
            if isinstance(shown, str) and 0 < len(shown) <= LONGEST_NAME
            else upload.name
        )
        return {
            "path": upload.path,
            "url": None,
            "size": len(upload.content),
            "orig_name": shown,
            "mime_type": None,
            "is_stream": False,
            "meta": {"_type": "gradio.FileData"},
        }

    def _inline(self, address: str, name: str) -> Upload:
        head, comma, text = address.partition(",")
        if not comma or not head.lower().endswith(";base64") or len(head) > 100:
            raise wrong(name, DAMAGED)
        if len(text) * 3 // 4 > self.largest + 2:
            raise wrong(name, f"The image is larger than {self.largest // 2**20} MB.")
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise wrong(name, DAMAGED) from None
        upload = self.store.put(self.owner, "picture", content)
        self.made.append(upload)
        return upload

    def undo(self) -> None:
        """Forget the files that came inside the call."""
        for upload in self.made:
            self.store.drop(upload)


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object, neither deep nor of very many parts. Raises ``Refused``."""
    if body.count(b"[") + body.count(b"{") > BRACKETS or body.count(b",") > COMMAS:
        raise Refused(413, "The call has far more parts than any call of this API.")
    try:
        payload = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(400, MALFORMED) from None
    if not isinstance(payload, dict):
        raise Refused(422, MALFORMED)
    return payload


def rebuild(payload: dict[str, Any], function: Any, reader: Reader) -> Call:
    """A call as Gradio is to get it. Raises ``Refused``; files that came inside the call are then
    forgotten.
    """
    names = parameters(function)
    try:
        data = reader.data(payload.get("data"), function.inputs, names)
    except Exception:
        reader.undo()
        raise
    session = payload.get("session_hash")
    body = {
        "data": data,
        "fn_index": function_number(function),
        "session_hash": (
            session if isinstance(session, str) and SESSION.fullmatch(session) else None
        ),
        "trigger_id": payload["trigger_id"] if type(payload.get("trigger_id")) is int else None,
        "event_data": None,
    }
    return Call(body, tuple(reader.named), tuple(data))


def parameters(function: Any) -> list[str]:
    """Names of a function's arguments, one for each input component."""
    own = (
        list(inspect.signature(function.fn).parameters)[: len(function.inputs)]
        if function.fn
        else []
    )
    return own + [f"argument {index + 1}" for index in range(len(own), len(function.inputs))]


def by_name(payload: dict[str, Any], function: Any) -> dict[str, Any]:
    """A call whose arguments are named, as one whose arguments are in order. Raises ``Refused``."""
    names = parameters(function)
    if unknown := [name for name in payload if name not in (*names, "session_hash")]:
        raise Refused(
            422,
            f"{len(unknown)} arguments have a name that is not known: the call takes"
            f" {', '.join(names)}.",
        )
    own = [
        payload[name] if name in payload else _own(block)
        for name, block in zip(names, function.inputs, strict=True)
    ]
    return {"data": own, "session_hash": payload.get("session_hash")}


def wrong(name: str, message: str) -> Refused:
    """A refusal of one argument, in the shape Gradio's clients know."""
    return Refused(
        422,
        [{"__type__": "validate", "is_valid": False, "message": message, "parameter_name": name}],
    )


def _own(block: Any) -> Any:
    value = getattr(block, "value", None)
    return value() if isinstance(value, Callable) else value


def _number(value: Any, name: str) -> int | float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise wrong(name, "is not a number, or is too large")
    return value


def _no_number(word: str) -> float:
    raise ValueError(word)
