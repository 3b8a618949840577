"""The picture as shown on the page: small enough to send, with a numbered box around each face. The words are on the cards."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from agegender_core.export import colour_of, text_colour
from agegender_core.types import Analysis, Face

PREVIEW_SIDE = 1280


def preview(analysis: Analysis) -> bytes:
    """JPEG of at most ``PREVIEW_SIDE`` pixels with a numbered box for each face."""
    scale = min(1.0, PREVIEW_SIDE / max(analysis.image.size))
    size = (max(1, round(analysis.image.width * scale)), max(1, round(analysis.image.height * scale)))
    canvas = analysis.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0) if scale < 1 else analysis.image.copy()
    draw = ImageDraw.Draw(canvas)
    for number, prediction in enumerate(analysis.predictions, start=1):
        _draw_box(draw, prediction.face, number, scale, canvas.size)
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _draw_box(draw: ImageDraw.ImageDraw, face: Face, number: int, scale: float, size: tuple[int, int]) -> None:
    line = max(2, round(max(size) / 200))
    x0, y0, x1, y1 = (value * scale for value in face.box_xyxy)
    x0, y0, x1, y1 = max(x0, line), max(y0, line), min(x1, size[0] - line - 1), min(y1, size[1] - line - 1)
    if x1 <= x0 or y1 <= y0:
        return
    colour = colour_of(number)
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="#FFFFFF", width=line + 2)  # a halo: seen on any background
    draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)
    letters = min(max((y1 - y0) * 0.3, max(size) / 60), max(size) / 26)  # small on small faces, so that numbers do not cover them
    font = ImageFont.load_default(max(11, round(letters)))
    left, top, right, bottom = draw.textbbox((0, 0), str(number), font=font)
    pad = 2 * line
    width, height = max(right - left, bottom - top) + 2 * pad, bottom - top + 2 * pad
    tag_x, tag_y = min(x0, size[0] - width), (y0 - height if y0 >= height else y0)
    draw.rectangle((tag_x, tag_y, tag_x + width, tag_y + height), fill=colour)
    draw.text((tag_x + width / 2, tag_y + height / 2), str(number), font=font, fill=text_colour(colour), anchor="mm")
