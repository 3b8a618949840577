"""Which parts of Gradio can be reached: a list of its routes, each with its limits; every other
path answers 404.

It stands inside Gradio's own middleware, so that its answers have Gradio's headers for other sites.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agegender_core.errors import BusyError
from agegender_core.serving.decoding_pool import Pool
from ui.compat import gradio_private
from ui.compat.asgi_private import route_path
from ui.guard import calls
from ui.guard.admission import FULL, Admission
from ui.guard.answers import careful, log, send_bytes, send_json
from ui.guard.bodies import Refused, read_body, replay
from ui.guard.intake import Intake
from ui.guard.limits import Limits, client_of
from ui.guard.sessions import Sessions
from ui.guard.uploads import Upload, UploadStore

API = "/gradio_api"
SMALL = 64 * 1024
"""Bytes of a call without images."""
FRAME = 4 * 2**20
"""Bytes of one frame of a live video, as JSON."""
SWEEP = 20.0
REFUSAL = 0.5
"""Seconds before a call is refused for lack of room: callers that retry at once cost the others
less.
"""
NOT_HERE = "There is nothing here."
NOT_DIRECT = (
    "This API endpoint does not accept direct HTTP POST requests. Please join the queue to use this"
    " API."
)
TOO_LONG = "The call is too long: upload the images first and hand over what the upload answered."
PAGE = re.compile(
    r"/(config/?|theme\.css|robots\.txt|favicon\.ico|manifest\.json)?|/(static|assets|svelte)/[\w./@-]+"
)
READ = re.compile(rf"{API}/(info/?|openapi\.json|startup-events|app_id/?|theme\.css|queue/status)")
KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}
"""Kinds of images a browser may show; everything else is sent as a download."""
Handler = Callable[..., Awaitable[None]]


@dataclass
class Rules:
    """``store``: of uploads; ``largest``: bytes of one; ``most``: files of one call; ``checks``: by
    an endpoint's name, a function of its arguments, with uploads in the place of files, that
    returns a list of verdicts as Gradio's validators do; ``decoding``: the pool in which these run;
    ``left``: called with each session that is over.
    """

    store: UploadStore
    largest: int
    most: int
    checks: Mapping[str, Callable[..., list[dict]]]
    decoding: Callable[[], Pool]
    left: Callable[[str], None] = lambda session: None
    limits: Limits = field(default_factory=Limits)


class GradioGuard:
    """ASGI middleware; the innermost one of a ``gradio`` app."""

    def __init__(self, app: ASGIApp, gradio: Any, rules: Rules, gate: Callable[[], Any]) -> None:
        self.inner, self.app, self.rules, self.store, self.limits = (
            app,
            gradio,
            rules,
            rules.store,
            rules.limits,
        )
        self.admission = Admission(gradio_private.queue_of(gradio), gate)
        self.sessions = Sessions(gradio, rules.left)
        self._progress: dict[str, _Progress] = {}
        self._frames: dict[str, Upload] = {}
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._cleaner: asyncio.Task | None = None
        name, event = r"(?P<name>\w{1,64})", r"(?P<event>[0-9a-f]{32})"
        self.routes: list[tuple[str, re.Pattern, Handler]] = [
            ("GET HEAD", PAGE, self._page),
            ("GET HEAD", READ, self._page),
            ("GET HEAD", re.compile(rf"{API}/file=(?P<path>.*)", re.DOTALL), self._file),
            ("GET", re.compile(rf"{API}/upload_progress"), self._upload_progress),
            (
                "GET",
                re.compile(rf"{API}/heartbeat/(?P<session>[A-Za-z0-9_-]{{1,64}})"),
                self._heartbeat,
            ),
            ("GET", re.compile(rf"{API}/queue/data"), self._events),
            ("GET", re.compile(rf"{API}/call/(v2/)?{name}/{event}"), self._answer),
            ("POST", re.compile(rf"{API}/upload"), self._upload),
            ("POST", re.compile(rf"{API}/queue/join"), self._join),
            ("POST", re.compile(rf"{API}/call/(?P<named>v2/)?{name}/?"), self._call),
            ("POST", re.compile(rf"{API}/(run|api)/{name}/?"), self._run),
            ("POST", re.compile(rf"{API}/stream/{event}"), self._frame),
            ("POST", re.compile(rf"{API}/(stream/{event}/close|cancel|reset/?)"), self._small),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
        elif scope["type"] == "http":
            if self._cleaner is None or self._cleaner.done():
                self._cleaner = asyncio.create_task(self._clean())
            await careful(self._route, scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = route_path(scope)
        for methods, pattern, handler in self.routes:
            if scope["method"] in methods.split() and (found := pattern.fullmatch(path)):
                return await handler(
                    scope,
                    receive,
                    send,
                    **{key: value for key, value in found.groupdict().items() if value},
                )
        raise Refused(404, NOT_HERE)

    async def _clean(self) -> None:
        """Drop what is over, again and again; an error is logged and the next round tries again."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                self.store.sweep()
                self.sessions.sweep()
                queue = gradio_private.queue_of(self.app)
                for event in [event for event in self._frames if queue.event(event) is None]:
                    self.store.drop(self._frames.pop(event))
            except Exception:
                log.exception("the clean-up failed once and goes on")

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.inner({**scope, "query_string": b""}, receive, send)

    async def _small(self, scope: Scope, receive: Receive, send: Send, event: str = "") -> None:
        payload = calls.parse(await read_body(scope, receive, SMALL, TOO_LONG) or b"{}")
        known = {"session_hash": str, "fn_index": int, "event_id": str}
        body = {
            key: payload[key]
            for key, kind in known.items()
            if type(payload.get(key)) is kind and len(str(payload[key])) <= 64
        }
        if not event and "event_id" not in body:
            raise Refused(422, "The call names no event.")
        body = {"session_hash": "", "fn_index": -1, **body}
        await self._pass(scope, receive, send, body)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, body: dict[str, Any]) -> None:
        """Pass on a call with a rebuilt body."""
        data = json.dumps(body).encode()
        headers = [(key, value) for key, value in scope["headers"] if key.lower() not in _OURS]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(data)).encode()),
        ]
        await self.inner(
            {**scope, "headers": headers, "query_string": b""}, replay(data, receive), send
        )

    # Uploads

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        client, number = client_of(scope), _query(scope, "upload_id")
        progress = _Progress()
        if calls.SESSION.fullmatch(number) and len(self._progress) < 1000:
            self._progress.setdefault(number, progress)
        try:
            with self.limits.one("upload", client), self.store.room(client) as take:
                intake = Intake(self.rules.largest, self.rules.most, take, progress.add)
                found = await intake.read(scope, receive)
            stored: list[Upload] = []
            try:
                for name, content in found:
                    stored.append(self.store.put(client, name, content))
            except Exception:
                for upload in stored:
                    self.store.drop(upload)
                raise
        finally:
            progress.done.set()
            if self._progress.get(number) is progress:
                del self._progress[number]
        await send_json(send, [upload.path for upload in stored])

    async def _upload_progress(self, scope: Scope, receive: Receive, send: Send) -> None:
        """How far an upload is, for the bar on the page."""
        with self.limits.one("stream", client_of(scope)):
            progress, waited = None, 0.0
            while progress is None and waited < 3:
                progress = self._progress.get(_query(scope, "upload_id"))
                if progress is None:
                    await asyncio.sleep(0.05)
                    waited += 0.05
            start = {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
            await send(start)
            while progress is not None and not progress.done.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(progress.done.wait(), 0.1)
                for name, size in progress.taken():
                    await _event(send, {"msg": "update", "orig_name": name, "chunk_size": size})
            await _event(send, {"msg": "done"})
            await send({"type": "http.response.body", "body": b""})

    async def _file(self, scope: Scope, receive: Receive, send: Send, path: str = "") -> None:
        """An upload or an example, from memory."""
        upload = self.store.find(path) or self.store.find(unquote(path))
        if upload is None:
            raise Refused(404, NOT_HERE)
        kind = next((kind for head, kind in KINDS.items() if upload.content.startswith(head)), "")
        if upload.content[4:12] in (b"ftypavif", b"ftypavis"):
            kind = "image/avif"
        how = [] if kind else [(b"content-disposition", b"attachment")]
        body = upload.content if scope["method"] == "GET" else b""
        await send_bytes(
            send,
            200,
            body,
            kind or "application/octet-stream",
            [*how, (b"content-security-policy", b"sandbox")],
        )

    # Calls

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        payload = await self._payload(scope, receive, self._longest())
        function = self._function(payload.get("fn_index"))
        session = payload.get("session_hash")
        if not (isinstance(session, str) and calls.SESSION.fullmatch(session)):
            raise Refused(
                400, "The call has no session: a key «session_hash» of letters and digits."
            )
        await self._ask(scope, receive, send, function, payload)

    async def _call(
        self, scope: Scope, receive: Receive, send: Send, name: str, named: str = ""
    ) -> None:
        function = self._public(name)
        with_files = any(
            type(block).__name__.lower() in ("image", "file") for block in function.inputs
        )
        try:
            # Before a large body is read in vain.
            self.admission.check(client_of(scope), function.concurrency_id)
        except Refused:
            await asyncio.sleep(REFUSAL)
            raise
        payload = await self._payload(scope, receive, self._longest() if with_files else SMALL)
        payload = calls.by_name(payload, function) if named else payload
        scope = {**scope, "path": scope["path"].replace("/call/v2/", "/call/", 1)}
        await self._ask(scope, receive, send, function, payload)

    async def _run(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        """A function of the page that needs no queue."""
        payload = await self._payload(scope, receive, SMALL)
        function = (
            self._function(payload["fn_index"])
            if type(payload.get("fn_index")) is int
            else self._public(name)
        )
        if function.queue:
            raise Refused(404, NOT_DIRECT)
        call = calls.rebuild(payload, function, self._reader(scope))
        self.sessions.touch(call.body["session_hash"])
        await self._pass(scope, receive, send, call.body)

    async def _ask(
        self, scope: Scope, receive: Receive, send: Send, function: Any, payload: dict[str, Any]
    ) -> None:
        """Have a call join the queue once its arguments are checked."""
        client, reader = client_of(scope), self._reader(scope)
        joined = self.admission.enter(client, function.concurrency_id)
        try:
            call = await asyncio.to_thread(calls.rebuild, payload, function, reader)
            payload.clear()
            await self._check(client, function, call)
            session = call.body["session_hash"] = call.body[
                "session_hash"
            ] or secrets.token_urlsafe(24)
            self.sessions.touch(session)

            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start":
                    joined()
                    if message["status"] != 200:
                        reader.undo()
                await send(message)

            await self._pass(scope, receive, answered, call.body)
        except BaseException:
            reader.undo()
            raise
        finally:
            joined()

    async def _check(self, client: str, function: Any, call: calls.Call) -> None:
        """Check the arguments; calls of one client are checked one after the other. Raises
        ``Refused``.
        """
        check = (
            self.rules.checks.get(function.api_name)
            if function.api_visibility == "public"
            else None
        )
        if check is None:
            return
        turn = self._turns.setdefault(client, asyncio.Lock())
        async with turn:
            arguments = [self._opened(argument) for argument in call.arguments]
            try:
                verdicts = await asyncio.wrap_future(
                    self.rules.decoding().submit(lambda: check(*arguments), client)
                )
            except BusyError as error:
                raise Refused(503, FULL) from error
        names = calls.parameters(function)
        bad = [
            {**one, "parameter_name": name}
            for name, one in zip(names, verdicts, strict=False)
            if not one["is_valid"]
        ]
        if bad:
            for upload in call.uploads:
                self.store.drop(upload)
            raise Refused(422, bad)

    def _opened(self, argument: Any) -> Any:
        """An argument with uploads in the place of files."""
        if isinstance(argument, list):
            return [self._opened(one) for one in argument]
        return self.store.find(argument["path"]) if isinstance(argument, dict) else argument

    async def _frame(self, scope: Scope, receive: Receive, send: Send, event: str) -> None:
        """The next frame of a live video."""
        known = gradio_private.queue_of(self.app).event(event)
        if known is None:
            raise Refused(404, NOT_HERE)
        payload = await self._payload(scope, receive, FRAME)
        call = calls.rebuild(
            {**payload, "session_hash": known.session_hash}, known.fn, self._reader(scope)
        )
        before = self._frames.pop(event, None)
        if before is not None:
            self.store.drop(before)
        if call.uploads:
            self._frames[event] = call.uploads[-1]
        self.sessions.touch(known.session_hash)
        await self._pass(scope, receive, send, call.body)

    async def _payload(self, scope: Scope, receive: Receive, most: int) -> dict[str, Any]:
        with self.store.room(client_of(scope)) as take:
            body = await read_body(scope, receive, most, TOO_LONG, take)
            return (
                calls.parse(body)
                if len(body) <= SMALL
                else await asyncio.to_thread(calls.parse, body)
            )

    def _longest(self) -> int:
        return self.rules.largest * 4 // 3 + SMALL

    def _reader(self, scope: Scope) -> calls.Reader:
        return calls.Reader(self.store, client_of(scope), self.rules.largest, self.rules.most)

    def _function(self, index: Any) -> Any:
        found = gradio_private.functions(self.app).get(index) if type(index) is int else None
        if found is None or found.fn is None:
            raise Refused(404, "There is no function of this number.")
        return found

    def _public(self, name: str) -> Any:
        public = {
            fn.api_name: fn
            for fn in gradio_private.functions(self.app).values()
            if fn.api_visibility == "public" and fn.fn is not None
        }
        if name not in public:
            raise Refused(404, f"There is no such endpoint: there are {', '.join(public)}.")
        return public[name]

    # Streams of events

    async def _heartbeat(self, scope: Scope, receive: Receive, send: Send, session: str) -> None:
        with (
            self.limits.one("stream", client_of(scope)),
            self.sessions.listening(session, ends=True),
        ):
            await self.inner({**scope, "query_string": b""}, receive, send)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = _query(scope, "session_hash")
        if not calls.SESSION.fullmatch(session):
            raise Refused(404, NOT_HERE)
        with self.limits.one("stream", client_of(scope)), self.sessions.listening(session):
            await self.inner(
                {**scope, "query_string": f"session_hash={session}".encode()}, receive, send
            )

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, name: str, event: str
    ) -> None:
        session = self.sessions.of_event(event)
        with (
            self.limits.one("stream", client_of(scope)),
            self.sessions.listening(session, ends=True),
        ):
            await self.inner({**scope, "query_string": b""}, receive, send)


class _Progress:
    """Bytes of one upload that were received and not reported yet."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self._new: dict[str, int] = {}

    def add(self, name: str, size: int) -> None:
        if len(self._new) < 1000:
            self._new[name] = self._new.get(name, 0) + size

    def taken(self) -> list[tuple[str, int]]:
        new, self._new = list(self._new.items()), {}
        return new


_OURS = (b"content-type", b"content-length", b"transfer-encoding")


def _query(scope: Scope, name: str) -> str:
    try:
        return parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20).get(
            name, [""]
        )[0]
    except ValueError:
        return ""


async def _event(send: Send, payload: Any) -> None:
    await send(
        {
            "type": "http.response.body",
            "body": f"data: {json.dumps(payload)}\n\n".encode(),
            "more_body": True,
        }
    )
