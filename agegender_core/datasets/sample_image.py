"""The real faces that ship with the package, both in the public domain (see assets/README.md): the
astronaut Eileen Collins by NASA, and Commodore Grace Hopper by the United States Navy.
"""

from __future__ import annotations

import io

from PIL import Image

from agegender_core.settings import PACKAGE

SAMPLE_NAME = "eileen_collins.png"
"""Its file, which every front end shows and estimates: the same bytes, so that the results agree
to the last digit.
"""
HOPPER_NAME = "grace_hopper.jpg"
"""The second portrait: a woman of 77."""


def sample_portrait() -> Image.Image:
    """512x512 RGB portrait; needs no network."""
    with Image.open(PACKAGE / "assets" / SAMPLE_NAME) as portrait:
        return portrait.convert("RGB")


def sample_file(turn: Image.Transpose | None = None) -> bytes:
    """The portrait as a lossless PNG file; ``turn``: how to rotate it first."""
    if turn is None:
        return (PACKAGE / "assets" / SAMPLE_NAME).read_bytes()
    buffer = io.BytesIO()
    sample_portrait().transpose(turn).save(buffer, "PNG")
    return buffer.getvalue()


def hopper_file() -> bytes:
    """The portrait of Grace Hopper, a JPEG file of 512x600 pixels."""
    return (PACKAGE / "assets" / HOPPER_NAME).read_bytes()
