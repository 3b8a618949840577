"""The one real face that ships with the project's dependencies: scikit-image's portrait of Eileen Collins (NASA, public domain)."""

from __future__ import annotations

from PIL import Image

SAMPLE_NAME = "eileen_collins.png"


def sample_portrait() -> Image.Image:
    """512x512 RGB portrait; needs no network."""
    from skimage import data

    return Image.fromarray(data.astronaut())
