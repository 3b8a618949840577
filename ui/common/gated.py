"""The only ways of the pages to the networks and to the image decoders: through the queue that the
API has as well, as the visitor whose page it is, and through the decoders' own small pool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import streamlit as st

from agegender_core.serving import runtime
from agegender_core.vision.image_io import load_image
from ui.common import services
from ui.common.client_address import household
from ui.compat import streamlit_private

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.types import ImageLimits

LOCAL = "127.0.0.1"
_thread = threading.local()


def client() -> str:
    """Whose page runs in this thread, as the guard counts clients: the server has put there whom a
    trusted proxy names. This computer's own is also that of a download, which runs without a page.
    """
    address = st.context.ip_address if streamlit_private.in_page() else None
    return household(address or LOCAL)


def image(data: bytes, limits: ImageLimits | None = None) -> Image.Image:
    """``load_image`` in the decoders' pool. Raises ``InvalidImageError`` and, where too many wait,
    ``BusyError``.
    """
    work = (lambda: load_image(data)) if limits is None else lambda: load_image(data, limits=limits)
    return runtime.decoders().run(work, client())


@contextmanager
def slot(
    on_position: Callable[[int], None] | None = None,
    already_admitted: bool = False,
    caller: str | None = None,
) -> Iterator[None]:
    """Use a network within, when it is this visitor's turn; inside of another such block of the
    same thread it is. ``caller``: where the thread has no page. As ``AdmissionQueue.admit``.
    """
    if getattr(_thread, "inside", False):
        yield
        return
    with services.admission().admit(on_position, already_admitted, caller or client()):
        _thread.inside = True
        try:
            yield
        finally:
            _thread.inside = False


@contextmanager
def steps(caller: str | None = None) -> Iterator[Callable[[], None]]:
    """A slot for what takes long; what is yielded, called between two steps, lets others in. It is
    never refused.
    """
    caller = caller or client()
    with ExitStack() as turn:
        turn.enter_context(slot(None, True, caller))

        def between() -> None:
            turn.close()
            turn.enter_context(slot(None, True, caller))

        yield between
