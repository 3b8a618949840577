"""The image as the page shows it: small enough to send, with the age on the box of each face. All
other words are on the cards.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

from agegender_core.output.drawing import (
    Corners,
    draw_box,
    draw_tag,
    drawable,
    label_font,
    visible_box,
)
from agegender_core.types import AgeEstimate, Analysis, Face
from ui.common.images import encoded

PREVIEW_SIDE = 1280
Size = tuple[int, int]
Place = tuple[float, float, float, float]


def preview(analysis: Analysis) -> bytes:
    """JPEG of at most ``PREVIEW_SIDE`` pixels with a box and an age on each face, turned so that
    the faces stand upright. The faces' numbers stand in a corner of their boxes where there are two
    or more.
    """
    analysis = analysis.upright()
    scale = min(1.0, PREVIEW_SIDE / max(analysis.image.size))
    size = (
        max(1, round(analysis.image.width * scale)),
        max(1, round(analysis.image.height * scale)),
    )
    canvas = (
        analysis.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        if scale < 1
        else analysis.image.copy()
    )
    draw = ImageDraw.Draw(canvas)
    many = len(analysis.predictions) > 1
    for number, prediction in enumerate(analysis.predictions, start=1):
        box = _box(prediction.face, scale, canvas.size)
        if box is not None:
            draw_box(draw, box, number, _line(canvas.size), halo="white")
            _draw_tags(draw, box, number, age_words(prediction.age), many, canvas.size)
    return encoded(canvas, quality=88)


def places(analysis: Analysis) -> tuple[Place | None, ...]:
    """Where ``preview`` draws the box of each face: left, top, width and height as fractions of the
    image; None for one that lies outside.
    """
    analysis = analysis.upright()
    width, height = analysis.image.size
    boxes = (_box(one.face, 1.0, (width, height)) for one in analysis.predictions)
    return tuple(
        box
        and (box[0] / width, box[1] / height, (box[2] - box[0]) / width, (box[3] - box[1]) / height)
        for box in boxes
    )


def age_words(age: AgeEstimate) -> str:
    """«27», or «30-39» where the model answers with a range."""
    return drawable(age.ranges.label) if age.ranges is not None else str(round(age.years))


def _line(size: Size) -> int:
    return max(2, round(max(size) / 200))


def _box(face: Face, scale: float, size: Size) -> Corners | None:
    """The part of a face's box that can be drawn, in pixels of the canvas; None where it lies
    outside.
    """
    x0, y0, x1, y1 = (value * scale for value in face.box_xyxy)
    return visible_box((x0, y0, x1, y1), size, _line(size))


def _draw_tags(
    draw: ImageDraw.ImageDraw,
    box: Corners,
    number: int,
    age: str,
    many: bool,
    size: Size,
) -> None:
    """The age above the box, and with ``many`` faces the number in its lower left corner."""
    x0, y0, _, y1 = box
    # Small on small faces, so that they stay visible.
    letters = min(max((y1 - y0) * 0.3, max(size) / 50), max(size) / 20)
    width, height = _tag_size(draw, age, max(11, round(letters)), size)
    top = y0 - height if y0 >= height else y0
    _draw_tag(draw, (min(x0, size[0] - width), top), age, number, max(11, round(letters)), size)
    if many:
        small = max(10, round(letters * 0.6))
        height = _tag_size(draw, str(number), small, size)[1]
        _draw_tag(draw, (x0, y1 - height), str(number), number, small, size)


def _tag_size(
    draw: ImageDraw.ImageDraw, text: str, letters: int, size: Size
) -> tuple[float, float]:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=label_font(letters))
    pad = 2 * _line(size)
    return max(right - left, bottom - top) + 2 * pad, bottom - top + 2 * pad


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    number: int,
    letters: int,
    size: Size,
) -> None:
    (x, y), (width, height) = corner, _tag_size(draw, text, letters, size)
    place, middle = (x, y, x + width, y + height), (x + width / 2, y + height / 2)
    draw_tag(draw, place, text, number, label_font(letters), middle, "mm")
