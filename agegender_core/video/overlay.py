"""A frame with its faces marked: a box in the face's colour, how old it looks and its gender. Words
are never mirrored.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image, ImageDraw, ImageOps

from agegender_core.output.drawing import draw_box, draw_tag, drawable, label_font, visible_box
from agegender_core.output.gender import UNDECIDED
from agegender_core.types import Face
from agegender_core.video.types import LiveFrame, LiveTrack

WAITING = "estimating ..."


def draw(frame: LiveFrame, mirror: bool = False) -> Image.Image:
    """A copy of the frame's image with a box and words on every face. ``mirror``: as in a mirror,
    the words readable all the same.
    """
    frame = mirrored(frame) if mirror else frame
    canvas = frame.image if mirror else frame.image.copy()
    pen = ImageDraw.Draw(canvas)
    for track in frame.tracks:
        _mark(pen, track, canvas.size)
    return canvas


def mirrored(frame: LiveFrame) -> LiveFrame:
    """The frame as in a mirror: image, boxes and landmarks. What is left in the image stays left in
    ``landmarks``.
    """
    width = frame.image.width
    tracks = tuple(replace(track, face=_mirrored(track.face, width)) for track in frame.tracks)
    return replace(frame, image=ImageOps.mirror(frame.image), tracks=tracks)


def _mirrored(face: Face, width: int) -> Face:
    left, top, right, bottom = face.box_xyxy
    landmarks = (
        None if face.landmarks is None else (face.landmarks * (-1, 1) + (width, 0))[[1, 0, 2, 4, 3]]
    )
    return replace(face, box_xyxy=(width - right, top, width - left, bottom), landmarks=landmarks)


def words(track: LiveTrack) -> str:
    """«1  34 (27-43)  Female», or that the estimate is still to come. The range where the network
    knows ranges only.
    """
    answer = track.answer
    if answer is None:
        return f"{track.number}  {WAITING}"
    if answer.age.ranges is not None:
        years = answer.age.ranges.label
    else:
        years = (
            str(answer.years)
            if answer.low is None
            else f"{answer.years} ({answer.low}-{answer.high})"
        )
    gender = "" if answer.gender is None else UNDECIDED if answer.undecided else answer.gender.label
    return "  ".join(part for part in (str(track.number), years, gender) if part)


def _mark(pen: ImageDraw.ImageDraw, track: LiveTrack, size: tuple[int, int]) -> None:
    line = max(2, round(max(size) / 240))
    box = visible_box(track.box_xyxy, size, line)
    if box is None:
        return
    x0, y0, _, y1 = box
    draw_box(pen, box, track.number, line)
    text, font = drawable(words(track)), label_font(max(12, round(max(size) / 36)))
    width, height = pen.textlength(text, font=font) + 4 * line, font.size + 3 * line
    left = max(0.0, min(x0 - 1, size[0] - width))
    above = y0 - height - 1 >= 0
    top = y0 - height - 1 if above else min(y1 + 1, size[1] - height)
    place = (left, top, left + width, top + height)
    draw_tag(pen, place, text, track.number, font, (left + 2 * line, top + height / 2), "lm")
