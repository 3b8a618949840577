"""The one painter of face boxes and their labels: on images to keep, previews and live frames."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageColor, ImageDraw, ImageFont

from agegender_core.output.gender import UNDECIDED, too_close
from agegender_core.types import Analysis, Prediction

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe and Ito's colours, distinguishable for colour-blind people too; face number n has
``PALETTE[(n - 1) % 7]``.
"""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; the right and bottom pixels belong to it."""

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom in fractions of pixels too."""

PLAIN = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "×": "x",
        "«": '"',
        "»": '"',
        "’": "'",
        "\N{NO-BREAK SPACE}": " ",
    }
)
_MIN_FONT = 11
"""Smallest letters still legible, in pixels."""


def drawable(text: str) -> str:
    """``text`` in signs that ``label_font`` has: it would draw a box for a dash or «×»."""
    return text.translate(PLAIN)


def colour_of(number: int) -> str:
    """Colour of face ``number``, counted from 1."""
    return PALETTE[(number - 1) % len(PALETTE)]


def visible_box(box: Corners, size: tuple[int, int], line: int) -> Corners | None:
    """The part of a face's box whose outline of ``line`` pixels is inside an image of ``size``;
    None where it lies outside.
    """
    x0, y0 = max(box[0], line), max(box[1], line)
    x1, y1 = min(box[2], size[0] - line - 1), min(box[3], size[1] - line - 1)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def draw_box(
    draw: ImageDraw.ImageDraw, box: Corners, number: int, line: int, halo: str = "black"
) -> None:
    """The outline of face ``number``, ``line`` pixels wide, in a thin ``halo``: visible on any
    background.
    """
    x0, y0, x1, y1 = box
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=halo, width=line + 2)
    draw.rectangle(box, outline=colour_of(number), width=line)


def draw_tag(
    draw: ImageDraw.ImageDraw,
    place: Corners,
    text: str,
    number: int,
    font: ImageFont.FreeTypeFont,
    at: tuple[float, float],
    anchor: str,
) -> None:
    """A rectangle in the colour of face ``number`` with words at ``at``; ``anchor``: which point of
    the words that is, as Pillow names it. ``text`` in signs that the font has: see ``drawable``.
    """
    colour = colour_of(number)
    draw.rectangle(place, fill=colour)
    draw.text(at, text, font=font, fill=text_colour(colour), anchor=anchor)


def annotate(analysis: Analysis) -> Image.Image:
    """A copy of the image with a numbered box and a label such as «1  34 (27-43)  Female 97%» on
    every face.

    It is as large as the image, and turned by ``analysis.turned`` so that the faces stand upright.
    Lines and letters grow with the image. Labels are inside the image and avoid each other if there
    is room; a label too wide for a small image is shortened, at most to the number.
    """
    analysis = analysis.upright()
    annotated = (
        analysis.image.convert("RGB") if analysis.image.mode != "RGB" else analysis.image.copy()
    )
    draw = ImageDraw.Draw(annotated)
    boxes = [
        _clamped(prediction.face.box_xyxy, annotated.size) for prediction in analysis.predictions
    ]
    font = label_font(_font_size(annotated.size, boxes))
    line = max(1, round((annotated.width * annotated.height) ** 0.5 / 300))
    for number, box in enumerate(boxes, 1):
        draw_box(draw, box, number, line)
    taken: list[Box] = []
    for number, prediction in enumerate(analysis.predictions, 1):
        text = _fitting(label_texts(number, prediction), draw, font, annotated.width)
        taken.append(_draw_label(draw, text, font, number, boxes, taken))
    return annotated


def label_texts(number: int, prediction: Prediction) -> list[str]:
    """Label of a face, from the full to the shortest form. Where the network knows ranges only, its
    range and no year.
    """
    age, gender = prediction.age, prediction.gender
    if age.ranges is not None:
        years = full_age = age.ranges.label
    else:
        years = f"{age.years:.0f}"
        interval = "" if age.interval is None else f"{age.interval[0]:.0f}-{age.interval[1]:.0f}"
        spread = interval or age.group or ""
        full_age = f"{years} ({spread})" if spread else years
    confidence = None if gender is None else gender.confidence
    if too_close(confidence):
        label, percent = UNDECIDED, ""
    else:
        label = "" if gender is None else gender.label
        percent = "" if confidence is None else f" {confidence:.0%}"
    forms = [(full_age, label + percent), (years, label + percent), (years, label), (years,), ()]
    texts = ["  ".join(part for part in (str(number), *form) if part) for form in forms]
    return [drawable(text) for text in dict.fromkeys(texts)]


def _clamped(box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
    """The part of a box inside the image, in whole pixels, corners in order."""
    (width, height), (x0, y0, x1, y1) = size, box
    left, right = sorted(min(max(round(value), 0), width - 1) for value in (x0, x1))
    top, bottom = sorted(min(max(round(value), 0), height - 1) for value in (y0, y1))
    return left, top, right, bottom


def _font_size(size: tuple[int, int], boxes: list[Box]) -> int:
    """Letter height in pixels: an eighth of the typical face, within 1/80 and 1/30 of the image,
    never too small to read.
    """
    side = (size[0] * size[1]) ** 0.5
    widths = sorted(right - left for left, _, right, _ in boxes) or [0]
    typical = widths[len(widths) // 2] / 8
    return max(_MIN_FONT, round(min(max(typical, side / 80), side / 30)))


@lru_cache(maxsize=16)
def label_font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font, ``size`` pixels high."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # all of Pillow's wheels have FreeType
    return font


def _fitting(
    texts: list[str], draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, width: int
) -> str:
    """The first, longest text that fits across ``width`` pixels, else the last."""
    padding = 2 * _padding(font)
    return next(
        (text for text in texts if draw.textlength(text, font=font) + padding <= width), texts[-1]
    )


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(2, round(font.size / 4))


def _draw_label(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.FreeTypeFont,
    number: int,
    boxes: list[Box],
    taken: list[Box],
) -> Box:
    """Write the label of face ``number`` and return the rectangle it covers."""
    padding = _padding(font)
    ascent, descent = font.getmetrics()
    size = (int(draw.textlength(text, font=font)) + 1 + 2 * padding, ascent + descent + padding)
    position = _label_position(size, draw.im.size, boxes[number - 1], boxes, taken)
    corner = (position[0] + padding, position[1] + padding // 2)
    draw_tag(draw, position, text, number, font, corner, "la")
    return position


def _label_position(
    size: tuple[int, int], image: tuple[int, int], box: Box, boxes: list[Box], taken: list[Box]
) -> Box:
    """Rectangle of ``size`` inside the image: above ``box``, below or within it, whichever hides
    least of other labels, then of faces.
    """
    left = min(box[0], max(image[0] - size[0], 0))
    lowest = max(image[1] - size[1], 0)
    tops = (
        min(max(top, 0), lowest) for top in (box[1] - size[1], box[3] + 1, box[3] - size[1], box[1])
    )
    positions = [(left, top, left + size[0] - 1, top + size[1] - 1) for top in tops]
    return min(
        positions, key=lambda position: (_covered(position, taken), _covered(position, boxes))
    )


def _covered(position: Box, others: list[Box]) -> int:
    """Pixels of ``position`` on ``others``."""
    return sum(_overlap(position, other) for other in others)


def _overlap(a: Box, b: Box) -> int:
    """Pixels two rectangles share; right and bottom edges belong to them."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1) * max(
        0, min(a[3], b[3]) - max(a[1], b[1]) + 1
    )


def text_colour(background: str) -> str:
    """Black or white, whichever stands out more from ``background``, by WCAG's contrast ratio."""
    luminance = relative_luminance(background)
    return "black" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "white"


def relative_luminance(colour: str) -> float:
    """WCAG 2 relative luminance in [0, 1] of a colour Pillow knows."""
    red, green, blue = (_linear(value / 255) for value in ImageColor.getrgb(colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
