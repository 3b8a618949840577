"""Images inside the page itself."""

from __future__ import annotations

import base64


def data_url(content: bytes, kind: str) -> str:
    """``content``, an encoded image of MIME type ``image/kind``, as a data: address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
