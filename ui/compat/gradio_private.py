"""Internals of Gradio: its queue, the state it stores by session, its functions' numbers, and its
components' ways with files.

Why each is needed:

* ``GradioQueue``, ``stored_sessions``, ``forget_session``: the guard admits a call, orders the
  queue fairly and lets go of what a closed page left; Gradio offers only a length of the queue.
* ``functions``, ``function_number``: a call that is rebuilt names its function by number.
* ``add_innermost``: Starlette's ``add_middleware`` puts a layer outside Gradio's own, where answers
  lack Gradio's headers for other sites.
* ``check_paths``: Gradio's check of paths is off until ``launch``, which a mounted app never calls.
* ``limit_state_and_threads``: options of ``launch`` that ``mount_gradio_app`` lacks.
* ``mounted_app``, ``stop_event``: open pages keep a stream each until the app's event is set.
* ``component_class``: Gradio writes a ``.pyi`` beside a class derived from a component.
* ``no_type_stubs``: at every import Gradio parses the sources of its own classes and writes a
  ``.pyi`` for each; that is most of the time its import takes.
* ``files_unmoved``: Gradio copies or fetches what a path names, before a component sees it.

Nothing here imports Gradio before it is called: it reads its settings when it is imported.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from starlette.middleware import Middleware

CHECKED_WITH = {"gradio": "6.31.0"}


class QueuedEvent(Protocol):
    """One call in Gradio's queue, as far as it is used here."""

    session_hash: str
    concurrency_id: str
    request: Any
    fn: Any


class GradioQueue:
    """Gradio's queue of calls. For the event loop's thread only, but for ``length``."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def length(self, concurrency: str) -> int:
        """Calls of one kind that wait or run. Thread-safe."""
        line = self._queue.event_queue_per_concurrency_id.get(concurrency)
        return len(line.queue) + line.current_concurrency if line else 0

    def waiting(self, concurrency: str) -> list[QueuedEvent]:
        """Calls of one kind that wait, first come first; a copy."""
        line = self._queue.event_queue_per_concurrency_id.get(concurrency)
        return list(line.queue) if line else []

    def running(self) -> Iterator[QueuedEvent]:
        """Calls that are worked on, of every kind."""
        for job in self._queue.active_jobs:
            yield from job or ()

    def reorder(self, concurrency: str, events: Sequence[QueuedEvent]) -> None:
        """Have the waiting calls of one kind in this order."""
        self._queue.event_queue_per_concurrency_id[concurrency].queue[:] = events

    def event(self, number: str) -> QueuedEvent | None:
        """The call of this number, None where it is not known or over."""
        return self._queue.event_ids_to_events.get(number)

    def session_of(self, number: str) -> str | None:
        """The session a call belongs to, also of one whose answer was not fetched yet."""
        if (event := self.event(number)) is not None:
            return event.session_hash
        return next(
            (
                session
                for session, numbers in self._queue.pending_event_ids_session.items()
                if number in numbers
            ),
            None,
        )

    def sessions(self) -> list[str]:
        """Sessions for which messages are stored."""
        return list(self._queue.pending_messages_per_session)

    def busy_sessions(self) -> set[str]:
        """Sessions of calls that wait or run."""
        busy = {event.session_hash for event in self.running()}
        for line in self._queue.event_queue_per_concurrency_id.values():
            busy |= {event.session_hash for event in line.queue}
        return busy

    def forget(self, session: str) -> list[str]:
        """Drop a session's messages and calls; the numbers of those calls."""
        self._queue.pending_messages_per_session.pop(session, None)
        numbers = list(self._queue.pending_event_ids_session.pop(session, ()))
        for number in numbers:
            self._queue.event_ids_to_events.pop(number, None)
        return numbers


def queue_of(app: Any) -> GradioQueue:
    """The queue of one of Gradio's apps."""
    return GradioQueue(app.get_blocks()._queue)


def stored_sessions(app: Any) -> set[str]:
    """Sessions whose messages or components' values an app stores."""
    return {*queue_of(app).sessions(), *app.state_holder.session_data}


def forget_session(app: Any, session: str) -> None:
    """Drop everything an app stores of a session."""
    for number in queue_of(app).forget(session):
        app.iterators.pop(number, None)
    app.state_holder.session_data.pop(session, None)
    app.state_holder.time_last_used.pop(session, None)


def functions(app: Any) -> dict[int, Any]:
    """An app's functions by their number."""
    return app.get_blocks().fns


def function_number(function: Any) -> int:
    """The number by which a call names a function."""
    return function._id


def add_innermost(app: Any, middleware: Middleware) -> None:
    """Put a layer inside all others of an app that has not begun to serve."""
    app.user_middleware.append(middleware)


def check_paths(app: Any) -> None:
    """Turn on Gradio's own check of the paths a call names."""
    app.get_blocks().has_launched = True


def limit_state_and_threads(blocks: Any, sessions: int, threads: int) -> None:
    """Store components' values of so many ``sessions``, the longest unused dropped first, and run
    functions in so many ``threads`` of their own.
    """
    blocks.state_session_capacity = sessions
    blocks.max_threads = threads


def mounted_app(outer: Any) -> Any:
    """The one Gradio app that is mounted in ``outer``."""
    (app,) = [
        route.app for route in outer.routes if hasattr(getattr(route, "app", None), "get_blocks")
    ]
    return app


def stop_event(app: Any) -> asyncio.Event:
    """Once it is set, streams to open pages end."""
    return app.stop_event


@contextmanager
def no_type_stubs() -> Iterator[None]:
    """Within, Gradio is imported without parsing its sources and writing into its own folder."""
    finder = _WithoutStubs()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.leave()


class _WithoutStubs(MetaPathFinder):
    """Has the module that writes the stubs write none, once it is imported: not before, for it
    cannot be imported without all of Gradio.
    """

    MODULE, WRITER = "gradio.component_meta", "create_or_modify_pyi"

    def __init__(self) -> None:
        self._writer: tuple[ModuleType, str, Any] | None = None

    def leave(self) -> None:
        """Look for no module any more, and give the writer back."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._writer is not None:
            setattr(*self._writer)

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module's own spec, whose loader takes the writer away afterwards."""
        if name != self.MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader = spec.loader if spec is not None else None
        if loader is None:
            return spec
        execute = loader.exec_module

        def execute_without(module: ModuleType) -> None:
            execute(module)
            if hasattr(module, self.WRITER):
                self._writer = (module, self.WRITER, getattr(module, self.WRITER))
                setattr(module, self.WRITER, lambda *_: None)

        # an object of its own for every module
        loader.exec_module = execute_without  # type: ignore[method-assign]
        return spec


def component_class(base: type, module: str, **methods: Any) -> Any:
    """A subclass of a component, made without writing a file beside ``module``. To the browser it
    is the component it is derived from.
    """
    names = {"is_template": True, "__module__": module, **methods}
    return ABCMeta.__new__(type(base), base.__name__, (base,), names)


def files_unmoved() -> dict[str, Any]:
    """A method for ``component_class``: paths reach the component as they came."""

    async def unmoved(component: Any, path: Any) -> Any:
        return str(path)

    return {"async_move_resource_to_block_cache": unmoved}


def image_value(url: str) -> Any:
    """What an image component sends to the browser for an image at ``url``."""
    from gradio.data_classes import ImageData

    return ImageData(url=url)
