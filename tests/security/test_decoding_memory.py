"""What one small file can make a decoder take, format by format."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image, WebPImagePlugin

from agegender_core.errors import InvalidImageError
from agegender_core.types import ImageLimits
from agegender_core.vision.image_io import load_image
from tests.support import ROOT
from ui.errors import images

MEASURED = """
import sys
from pathlib import Path
from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io import load_image

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

data = sys.stdin.buffer.read()
before = peak()
try:
    load_image(data)
    reason = "read"
except InvalidImageError as error:
    reason = error.reason
print(peak() - before, reason)
"""
MOST_MB = 480
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PNG": ("RGB", "PNG", {}),
    "PNG, 16 bits": ("I;16", "PNG", {}),
    "PNG with alpha": ("RGBA", "PNG", {}),
    "PNG, grey with alpha": ("LA", "PNG", {}),
    "PNG with a transparent colour": ("P", "PNG", {"transparency": 0}),
    "WebP": ("RGB", "WEBP", {"lossless": True}),
    "AVIF": ("RGB", "AVIF", {"speed": 10}),
    "GIF": ("P", "GIF", {}),
    "TIFF": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
}
COSTLY = {"PNG with alpha", "PNG, grey with alpha", "PNG with a transparent colour", "WebP", "AVIF"}


def image_of(kind: str, side: int) -> bytes:
    mode, name, options = KINDS[kind]
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, name, **options)
    return buffer.getvalue()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux shows its processes")
@pytest.mark.parametrize("kind", KINDS)
def test_no_small_file_takes_much_memory(kind: str) -> None:
    """The largest square within the limit of 65 megapixels is read or refused; refused where a
    pixel of the format costs more than others.
    """
    data = image_of(kind, 8000)
    assert len(data) < 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], input=data, capture_output=True, cwd=ROOT, check=True
    )
    megabytes, reason = done.stdout.decode().split()
    assert int(megabytes) < (60 if kind in COSTLY else MOST_MB)
    assert reason == ("too_costly" if kind in COSTLY else "read")


@pytest.mark.parametrize("kind", sorted(COSTLY))
def test_a_photograph_of_such_a_format_is_read(kind: str) -> None:
    limits = ImageLimits(max_pixels=650_000)
    assert load_image(image_of(kind, 540), limits=limits).size == (540, 540)
    with pytest.raises(InvalidImageError, match="megapixels at most, and this one has 800 x 800"):
        load_image(image_of(kind, 800), limits=limits)


def test_a_tile_looks_at_the_size_before_any_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gallery's short way for light files."""
    data = image_of("WebP", 4000)
    assert len(data) < images.LIGHT

    def load(_: object) -> None:
        raise AssertionError("decoded")

    with monkeypatch.context() as patch:
        patch.setattr(WebPImagePlugin.WebPImageFile, "load", load)
        assert images._as_it_is(data) is None
    assert (images.small(image_of("WebP", 64)) or "").startswith("data:image/webp;")
    assert (images.small(data) or "").startswith("data:image/jpeg;")
