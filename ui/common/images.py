"""Images as files in memory, and inside the page itself."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """``image`` as a file of Pillow's format ``kind``; ``options``: as of ``Image.save``."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def data_url(content: bytes, mime: str) -> str:
    """``content``, a file of MIME type ``mime``, as a data: address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def image_url(image: Image.Image, kind: str = "JPEG", **options: Any) -> str:
    """``image``, encoded as ``encoded`` does, as a data: address."""
    return data_url(encoded(image, kind, **options), f"image/{kind.lower()}")
