"""The image to share: its size, its pieces, and faces and words that do not fit."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agegender_core.labels import FAIRFACE_GROUPS, group_names
from agegender_core.output import share_image as drawing
from agegender_core.output.drawing import label_font
from agegender_core.output.share_image import (
    FACE_SIZE,
    INSIDE,
    LEFT,
    POINT,
    RIGHT,
    SIZE,
    WARN,
    ShareText,
    face_panel,
    share_image,
    share_png,
    wrapped,
)
from agegender_core.types import AgeEstimate, Categorical, Face
from tests.support.fakes import fake_age

TEXT = ShareText(
    age="34",
    unit="years",
    lines=("Likely 28–41 (80 % interval)", "Gender: Female, 97 %"),
    model="A network",
    measured="A set, n = 10: MAE 5.0 years",
    project="A project",
)
GREY = Image.new("RGB", FACE_SIZE, "#777777")


def column(image: Image.Image) -> np.ndarray:
    """(H, W, 3) pixels right of the face."""
    return np.asarray(image)[:, FACE_SIZE[0] :].astype(int)


def of_colour(image: Image.Image, colour: str) -> np.ndarray:
    """(N, 2) rows and columns, in the whole image, of pixels of exactly this colour."""
    wanted = np.array(Image.new("RGB", (1, 1), colour).getpixel((0, 0)))
    found = np.argwhere((column(image) == wanted).all(axis=2))
    found[:, 1] += FACE_SIZE[0]
    return found


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def face(x0: float, y0: float, x1: float, y1: float, turned: int = 0) -> Face:
    return Face((x0, y0, x1, y1), 0.99, turned=turned)


def test_it_is_a_png_of_the_size_of_a_links_preview_and_carries_nothing_else() -> None:
    with Image.open(io.BytesIO(share_png(GREY, fake_age(34), TEXT))) as opened:
        opened.load()
        assert opened.format == "PNG" and opened.size == SIZE == (1200, 630)
        assert opened.info == {} and opened.mode == "RGB"
        assert opened.getpixel((10, 10)) == (0x77, 0x77, 0x77)


@pytest.mark.parametrize("field", ["age", "unit", "lines", "model", "measured", "project"])
def test_every_word_is_drawn(field: str) -> None:
    without = replace(TEXT, **{field: () if field == "lines" else " "})
    with_it, bare = (share_image(GREY, fake_age(34), text) for text in (TEXT, without))
    assert (column(with_it) != column(bare)).any()


def test_a_caution_is_marked_in_its_own_colour() -> None:
    assert not len(of_colour(share_image(GREY, fake_age(34), TEXT), WARN))
    warned = share_image(GREY, fake_age(34), replace(TEXT, caution="The face is small."))
    assert len(of_colour(warned, WARN)) > 50


def test_the_curve_stands_where_the_age_is_and_its_interval_is_coloured() -> None:
    age = fake_age(34)
    image = share_image(GREY, age, TEXT)
    point, inside = of_colour(image, POINT), of_colour(image, INSIDE)
    assert abs(point[:, 1].mean() - drawing._x(34)) < 2
    assert age.interval is not None
    low, high = age.interval
    assert abs(inside[:, 1].min() - drawing._x(low)) <= 6
    assert abs(inside[:, 1].max() - drawing._x(high)) <= 6
    older = share_image(GREY, fake_age(70), TEXT)
    assert of_colour(older, POINT)[:, 1].mean() > point[:, 1].mean() + 150


def test_a_network_of_ranges_has_a_bar_for_each_and_colours_the_chosen_one() -> None:
    names = group_names(FAIRFACE_GROUPS)
    probs = (0.0, 0.02, 0.1, 0.5, 0.3, 0.05, 0.03, 0.0, 0.0)
    age = AgeEstimate(27.0, ranges=Categorical(names, 3, probs), group=names[3])
    image = share_image(GREY, age, replace(TEXT, age="20–29"))
    chosen = of_colour(image, INSIDE)
    step = (RIGHT - LEFT) / 9
    assert LEFT + 3 * step < chosen[:, 1].min() and chosen[:, 1].max() < LEFT + 4 * step
    assert not len(of_colour(image, POINT)), "no year is pointed at inside a range"


def test_one_number_has_its_interval_and_no_curve_and_nothing_without_one() -> None:
    inside = of_colour(share_image(GREY, AgeEstimate(30.0, (20.0, 45.0), 0.8), TEXT), INSIDE)
    heights = np.ptp(inside[inside[:, 1] == drawing._x(22)][:, 0])
    assert heights == np.ptp(inside[inside[:, 1] == drawing._x(44)][:, 0]), "a band, not a curve"
    bare = share_image(GREY, AgeEstimate(30.0), TEXT)
    assert not len(of_colour(bare, INSIDE)) and not len(of_colour(bare, POINT))


@pytest.mark.parametrize("words", ["W" * 400, "many words " * 60])
def test_long_words_stay_inside_the_image(words: str) -> None:
    text = ShareText("100–116", "years", (words, words, words), words, words, "P", words)
    pixels = column(share_image(GREY, fake_age(34), text))
    margin = pixels[:, SIZE[0] - FACE_SIZE[0] - 30 :]
    assert (margin == pixels[0, -1]).all(), "nothing runs into the right margin"


def test_what_does_not_fit_is_cut_with_an_ellipsis() -> None:
    draw = ImageDraw.Draw(GREY.copy())
    font = label_font(20)
    assert wrapped(draw, "two words", font, 400, 2) == ["two words"]
    lines = wrapped(draw, "word " * 100, font, 200, 2)
    assert len(lines) == 2 and lines[1].endswith("…") and not lines[0].endswith("…")
    assert all(draw.textlength(line, font=font) <= 200 for line in lines)
    assert wrapped(draw, "", font, 200, 2) == []


@pytest.mark.parametrize(
    "box",
    [
        (150.0, 100.0, 210.0, 180.0),
        (-30.0, -20.0, 40.0, 60.0),
        (380.0, 260.0, 460.0, 340.0),
        (10.0, 10.0, 14.0, 15.0),
        (0.0, 0.0, 400.0, 300.0),
        (50.0, 50.0, 50.0, 50.0),
    ],
    ids=["middle", "corner", "other corner", "tiny", "whole frame", "empty"],
)
def test_the_panel_is_filled_wherever_the_face_is(box: tuple[float, float, float, float]) -> None:
    panel = face_panel(noise(400, 300), face(*box))
    assert panel.size == FACE_SIZE and panel.mode == "RGB"
    left, top, right, bottom = drawing._view((400, 300), face(*box))
    assert 0 <= left < right <= 400 and 0 <= top < bottom <= 300
    shape = (right - left) / (bottom - top)
    assert abs(shape - FACE_SIZE[0] / FACE_SIZE[1]) < 0.3, "the face is not stretched"


@pytest.mark.parametrize("size", [(20, 20), (2000, 20), (20, 2000)])
def test_odd_images_have_a_panel_too(size: tuple[int, int]) -> None:
    assert face_panel(noise(*size), face(0, 0, *size)).size == FACE_SIZE


def test_the_face_is_inside_its_panel() -> None:
    image = Image.new("RGB", (900, 700), "white")
    image.paste((255, 0, 0), (300, 200, 380, 300))
    red = np.asarray(face_panel(image, face(300, 200, 380, 300)))[..., 1] < 100
    rows, columns = np.nonzero(red)
    assert rows.min() > 0 and rows.max() < FACE_SIZE[1] - 1 and abs(columns.mean() - 235) < 5
    assert 0.4 < np.ptp(rows) / FACE_SIZE[1] < 0.6


def test_a_face_on_its_side_is_shown_upright(portrait: Image.Image) -> None:
    upright = face_panel(portrait, face(180, 60, 280, 190))
    # Turned by 90 degrees counter-clockwise, the sideways image is the portrait again.
    sideways = portrait.transpose(Image.Transpose.ROTATE_270)
    box = (512 - 190, 180, 512 - 60, 280)
    turned = face_panel(sideways, face(*box, turned=90))
    difference = np.abs(np.asarray(upright, int) - np.asarray(turned, int))
    assert difference.mean() < 2


def test_nobody_can_be_recognised_in_a_blurred_panel(portrait: Image.Image) -> None:
    """A blurred panel holds the mean colours of its few cells and nothing else: a view whose every
    cell was filled with its mean before looks the same.
    """
    one = face(180, 60, 280, 190)
    left, top, right, bottom = view = drawing._view(portrait.size, one)
    across, down = drawing.BLUR_CELLS
    face_cells = across * 100 / (right - left), down * 130 / (bottom - top)
    assert max(face_cells) <= 4, "values left across and down the face"
    flat = portrait.copy()
    cells = portrait.crop(view).resize(drawing.BLUR_CELLS, Image.Resampling.BOX)
    flat.paste(cells.resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top))
    pairs = {
        hidden: [np.asarray(face_panel(image, one, hidden), int) for image in (portrait, flat)]
        for hidden in (False, True)
    }
    assert np.abs(np.subtract(*pairs[True])).max() <= 6
    assert np.abs(np.subtract(*pairs[False])).mean() > 10
