"""An answer as one image to post: the face, the age, how sure it is, and how good the model is.

It is drawn in memory, in the size that social networks show in full. The words come from the
caller; the curve, the ranges and the interval come from the estimate itself. Race has no place
here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agegender_core.output.drawing import drawable, label_font
from agegender_core.types import TURNS, AgeEstimate, Face

SIZE = (1200, 630)
"""Width and height in pixels: the shape of a link's preview image."""
FACE_SIZE = (470, 630)
BLUR_CELLS = (6, 8)
"""Colours left of a blurred face panel, across and down. The face itself fills about half of
it, so that three or four values across remain: too few for people or programs, and what is
averaged away cannot be sharpened back.
"""
AROUND = 2.1
"""Height of what is shown, in heights of the face's box: head and shoulders."""

PAPER, INK, MUTED, RULE, BRAND = "#FBFAF7", "#1D2B2E", "#566365", "#DBD6CA", "#0B5D66"
INSIDE, OUTSIDE, POINT, WARN = "#3C8C94", "#BAC5C4", "#A33B06", "#A5420D"
LEFT, RIGHT, TOP = 518, 1152, 40
FOOTER = 546
YEAR = 6
"""Pixels a year has on the axis: 101 years fit the column."""
CHART_LEAST, CHART_MOST = 64, 190
AXIS_HEIGHT = 30

Font = Callable[[float], ImageFont.FreeTypeFont]


@dataclass(frozen=True)
class Typefaces:
    """Fonts by size in pixels: ``text``, its ``bold``, and ``display`` for the age. ``signs``: a
    text in signs that these fonts have.
    """

    text: Font = label_font
    bold: Font = label_font
    display: Font = label_font
    signs: Callable[[str], str] = drawable


@dataclass(frozen=True)
class ShareText:
    """The words on the image. ``age`` and ``unit``: «27» and «years»; ``lines``: the interval,
    the gender and the like, in order; ``caution``: empty where there is none. ``model`` and
    ``measured``: the model's title and its error; ``project``: whose answer this is.
    """

    age: str
    unit: str
    lines: tuple[str, ...]
    model: str
    measured: str
    project: str
    caution: str = ""

    def written(self, signs: Callable[[str], str]) -> ShareText:
        """The same words, each in the ``signs`` of a font."""
        return ShareText(
            signs(self.age),
            signs(self.unit),
            tuple(map(signs, self.lines)),
            signs(self.model),
            signs(self.measured),
            signs(self.project),
            signs(self.caution),
        )


PILLOW_FONTS = Typefaces()


def share_png(
    face: Image.Image, age: AgeEstimate, text: ShareText, fonts: Typefaces = PILLOW_FONTS
) -> bytes:
    """``share_image`` as a PNG file without any metadata."""
    buffer = io.BytesIO()
    share_image(face, age, text, fonts).save(buffer, "PNG")
    return buffer.getvalue()


def share_image(
    face: Image.Image, age: AgeEstimate, text: ShareText, fonts: Typefaces = PILLOW_FONTS
) -> Image.Image:
    """RGB image of ``SIZE``. ``face``: of ``FACE_SIZE``, from ``face_panel``."""
    text = text.written(fonts.signs)
    canvas = Image.new("RGB", SIZE, PAPER)
    canvas.paste(face.convert("RGB").resize(FACE_SIZE), (0, 0))
    draw = ImageDraw.Draw(canvas)
    _header(draw, text, fonts)
    below = _words(draw, _age(draw, text, fonts), text, fonts)
    _chart(draw, age, below + 14, FOOTER - 20, fonts)
    _footer(draw, text, fonts)
    return canvas


def face_panel(image: Image.Image, face: Face, blurred: bool = False) -> Image.Image:
    """Head and shoulders of ``face`` upright, as an image of ``FACE_SIZE``; ``blurred`` so that
    nobody can be recognised.

    ``image``: the one that the face's box refers to. Only pixels of the image are shown: near a
    border the view moves inwards, in a small image it shrinks.
    """
    if face.turned:
        face, image = face.upright(image.size), image.transpose(TURNS[face.turned])
    part = image.convert("RGB").crop(_view(image.size, face))
    if blurred:
        cells = part.resize(BLUR_CELLS, Image.Resampling.BOX)
        return cells.resize(FACE_SIZE, Image.Resampling.BICUBIC)
    return part.resize(FACE_SIZE, Image.Resampling.LANCZOS)


def _view(size: tuple[int, int], face: Face) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is shown, in whole pixels inside an image of ``size``."""
    shape = FACE_SIZE[0] / FACE_SIZE[1]
    height = AROUND * max(face.width, face.height, 1.0)
    height = min(height, size[1], size[0] / shape)
    width = height * shape
    x0, y0, x1, y1 = face.box_xyxy
    left = min(max((x0 + x1) / 2 - width / 2, 0.0), size[0] - width)
    # A little more room below than above: there are the shoulders.
    top = min(max((y0 + y1) / 2 - 0.47 * height, 0.0), size[1] - height)
    right, bottom = min(round(left + width), size[0]), min(round(top + height), size[1])
    return min(int(left), right - 1), min(int(top), bottom - 1), right, bottom


def _header(draw: ImageDraw.ImageDraw, text: ShareText, fonts: Typefaces) -> None:
    draw.text((LEFT, TOP), "Estimated age", fill=MUTED, font=fonts.text(25))
    draw.text((RIGHT, TOP), text.project, fill=BRAND, font=fonts.bold(25), anchor="ra")


def _age(draw: ImageDraw.ImageDraw, text: ShareText, fonts: Typefaces) -> int:
    """Draw the age, as large as it fits; y of its foot."""
    unit = fonts.display(46)
    room = RIGHT - LEFT - draw.textlength(text.unit, font=unit) - 18
    font = next(
        (
            fonts.display(height)
            for height in range(178, 60, -6)
            if draw.textlength(text.age, font=fonts.display(height)) <= room
        ),
        fonts.display(60),
    )
    foot = TOP + 178
    # Digits have some room on their left: it would set the age in from the lines below.
    inset = draw.textbbox((0, 0), text.age[:1], font=font, anchor="ls")[0]
    draw.text((LEFT - inset, foot), text.age, fill=INK, font=font, anchor="ls")
    end = LEFT - inset + draw.textlength(text.age, font=font)
    draw.text((end + 14, foot), text.unit, fill=INK, font=unit, anchor="ls")
    return foot


def _words(draw: ImageDraw.ImageDraw, foot: int, text: ShareText, fonts: Typefaces) -> int:
    """Draw the lines below the age and the caution; y below the last."""
    y = foot + 24
    for number, words in enumerate(text.lines):
        font = fonts.bold(28) if number == 0 else fonts.text(26)
        for line in wrapped(draw, words, font, RIGHT - LEFT, 2):
            draw.text((LEFT, y), line, fill=INK, font=font)
            y += 37
    if text.caution:
        y += 4
        font, first = fonts.text(22), y
        for line in wrapped(draw, text.caution, font, RIGHT - LEFT - 18, 2):
            draw.text((LEFT + 18, y), line, fill=WARN, font=font)
            y += 30
        draw.rectangle((LEFT, first + 2, LEFT + 3, y - 4), fill=WARN)
    return y


def _footer(draw: ImageDraw.ImageDraw, text: ShareText, fonts: Typefaces) -> None:
    draw.line((LEFT, FOOTER, RIGHT, FOOTER), fill=RULE, width=2)
    room = RIGHT - LEFT
    font = fonts.bold(22)
    (title,) = wrapped(draw, f"Answered by {text.model}", font, room, 1)
    draw.text((LEFT, FOOTER + 12), title, fill=INK, font=font)
    font = fonts.text(21)
    for line in wrapped(draw, text.measured, font, room, 1):
        draw.text((LEFT, FOOTER + 41), line, fill=MUTED, font=font)


def wrapped(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int, most: int
) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels; what does not fit ends in «…»."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most:
        count = len(words)
        if len(lines) < most - 1:
            while count > 1 and draw.textlength(" ".join(words[:count]), font=font) > width:
                count -= 1
        lines.append(_cut(draw, " ".join(words[:count]), font, width))
        words = words[count:]
    return lines


def _cut(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _chart(
    draw: ImageDraw.ImageDraw, age: AgeEstimate, top: int, bottom: int, fonts: Typefaces
) -> None:
    """The curve, the bars of ranges or, where the model gives one number, its interval on the
    axis of years; nothing where there is none of them.
    """
    floor = bottom - AXIS_HEIGHT
    top = max(top, floor - CHART_MOST)
    if floor - top < CHART_LEAST:
        top = floor - CHART_LEAST
    if age.ranges is not None and age.ranges.probs is not None:
        _ranges(draw, age, top, floor, fonts)
    elif age.probs is not None:
        _curve(draw, age, top, floor)
        _axis(draw, floor, fonts)
    elif age.interval is not None:
        _span(draw, age, floor)
        _axis(draw, floor, fonts)


def _x(years: float) -> int:
    """Middle of a year on the axis, in pixels."""
    return LEFT + round(YEAR * min(max(years, 0.0), 100.0)) + YEAR // 2


def _curve(draw: ImageDraw.ImageDraw, age: AgeEstimate, top: int, floor: int) -> None:
    probs = np.asarray(age.probs, dtype=float)  # (101,)
    low, high = (round(end) for end in age.interval or (-1.0, -1.0))
    scale = (floor - top) / max(float(probs.max()), 1e-9)
    for years, value in enumerate(probs):
        height = round(scale * float(value))
        if height:
            colour = INSIDE if low <= years <= high else OUTSIDE
            left = LEFT + YEAR * years
            draw.rectangle((left, floor - height, left + YEAR - 2, floor - 1), fill=colour)
    x = _x(age.years)
    draw.rectangle((x - 2, top, x + 1, floor - 1), fill=POINT)


def _span(draw: ImageDraw.ImageDraw, age: AgeEstimate, floor: int) -> None:
    assert age.interval is not None
    low, high = age.interval
    draw.rectangle((_x(low), floor - 58, _x(high), floor - 24), fill=INSIDE)
    x = _x(age.years)
    draw.rectangle((x - 2, floor - 70, x + 1, floor - 12), fill=POINT)


def _axis(draw: ImageDraw.ImageDraw, floor: int, fonts: Typefaces) -> None:
    draw.line((LEFT, floor, LEFT + 101 * YEAR, floor), fill=MUTED, width=2)
    for years in range(0, 101, 20):
        draw.line((_x(years), floor, _x(years), floor + 6), fill=MUTED, width=2)
        where = (_x(years), floor + 9)
        draw.text(where, str(years), fill=MUTED, font=fonts.text(19), anchor="ma")


def _ranges(
    draw: ImageDraw.ImageDraw, age: AgeEstimate, top: int, floor: int, fonts: Typefaces
) -> None:
    """A bar a range: all are equally wide, though the ranges are not."""
    assert age.ranges is not None and age.ranges.probs is not None
    labels, probs = age.ranges.labels, age.ranges.probs
    step = (RIGHT - LEFT) / len(labels)
    scale = (floor - top - 24) / max(*probs, 1e-9)
    draw.line((LEFT, floor, RIGHT, floor), fill=MUTED, width=2)
    for index, (label, value) in enumerate(zip(labels, probs, strict=True)):
        left, right = LEFT + round(step * index) + 5, LEFT + round(step * (index + 1)) - 5
        head = floor - max(round(scale * value), 1)
        chosen = index == age.ranges.index
        draw.rectangle((left, head, right, floor - 1), fill=INSIDE if chosen else OUTSIDE)
        middle = (left + right) // 2
        words = f"{100 * value:.0f} %" if value >= 0.005 else "<1 %"
        draw.text((middle, head - 3), words, fill=MUTED, font=fonts.text(18), anchor="mb")
        words = fonts.signs(label.replace("-", "–"))
        draw.text((middle, floor + 8), words, fill=MUTED, font=fonts.text(18), anchor="ma")
