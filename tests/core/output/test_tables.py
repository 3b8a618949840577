"""Rows, JSON and annotated images."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender_core.errors import ConfigError, InvalidImageError, WeightsMissingError
from agegender_core.output.drawing import (
    PALETTE,
    annotate,
    drawable,
    label_font,
    label_texts,
    relative_luminance,
    text_colour,
)
from agegender_core.output.tables import (
    COLUMN_TYPES,
    analysis_json,
    error_json,
    error_row,
    face_rows,
    table_columns,
    table_csv,
    write_table,
)
from agegender_core.types import AgeEstimate, Analysis, Categorical, Face
from tests.support.fakes import FakePredictor, fake_prediction
from ui.common.preview import preview


def analysis(width: int = 640, height: int = 480, faces: int = 1, **options) -> Analysis:
    return FakePredictor(faces=faces, **options).run(
        Image.new("RGB", (width, height), (90, 90, 90))
    )


def with_boxes(picture: Image.Image, *boxes: tuple[float, float, float, float]) -> Analysis:
    """The fake answer with its faces moved to ``boxes``."""
    answer = FakePredictor(faces=len(boxes)).run(picture)
    moved = (
        dataclasses.replace(p, face=Face(box, 0.9))
        for p, box in zip(answer.predictions, boxes, strict=True)
    )
    return dataclasses.replace(answer, predictions=tuple(moved))


class TestRows:
    def test_one_row_a_face(self):
        rows = face_rows("a.jpg", analysis(faces=2))
        assert [(row["file"], row["face"], row["faces"]) for row in rows] == [
            ("a.jpg", 1, 2),
            ("a.jpg", 2, 2),
        ]
        first = rows[0]
        assert list(first) == table_columns()
        assert (first["gender"], first["gender_probability"]) == ("Female", 0.97)
        assert first["age_low"] < first["age"] < first["age_high"]
        assert (first["age_coverage"], first["source"], first["turned"], first["error"]) == (
            0.8,
            "mtcnn",
            0,
            None,
        )
        assert first["weights"] == "fake-weights"
        assert (first["x0"], first["y0"]) == (64.0, 144.0)

    def test_no_face_gives_one_row(self):
        (row,) = face_rows("empty.jpg", analysis(faces=0, turned=90))
        assert list(row) == table_columns()
        given = {name: value for name, value in row.items() if value is not None}
        assert given == {"file": "empty.jpg", "faces": 0, "turned": 90, "weights": "fake-weights"}

    def test_race_columns_only_when_asked(self):
        (row,) = face_rows("a.jpg", analysis(race=True))
        assert list(row) == list(COLUMN_TYPES)
        assert (row["race"], row["race_probability"]) == ("White", 0.4)
        assert "race" not in table_columns()

    def test_heads_that_say_less(self):
        answer = analysis()
        bare = dataclasses.replace(
            answer.predictions[0], age=AgeEstimate(30.0, group="25-32"), gender=None
        )
        (row,) = face_rows("a.jpg", dataclasses.replace(answer, predictions=(bare,)))
        assert (row["age"], row["age_low"], row["age_high"], row["age_group"], row["gender"]) == (
            30.0,
            None,
            None,
            "25-32",
            None,
        )

    def test_errors(self):
        row = error_row("bad.jpg", InvalidImageError("It is empty. Copy it again.", "empty"))
        assert list(row) == table_columns()
        assert {name: value for name, value in row.items() if value is not None} == {
            "file": "bad.jpg",
            "error": "It is empty. Copy it again.",
        }
        assert error_row("x", KeyError("tensor"))["error"] == "KeyError: 'tensor'"
        assert error_row("x", MemoryError())["error"] == "MemoryError"

    def test_a_message_with_a_name_that_is_no_unicode_can_be_written(self, tmp_path):
        row = error_row("a.jpg", InvalidImageError("\udcff.jpg cannot be read"))
        assert row["error"] == "\\udcff.jpg cannot be read"
        for suffix in ("csv", "jsonl", "parquet"):
            write_table([row], tmp_path / f"table.{suffix}")

    def test_error_json(self):
        assert error_json("x", InvalidImageError("Small.", "too_small")) == {
            "file": "x",
            "error": {"reason": "too_small", "message": "Small."},
        }
        assert error_json("x", WeightsMissingError("None."))["error"] == {
            "reason": "WeightsMissingError",
            "message": "None.",
        }

    def test_analysis_json_is_json(self):
        answer = json.loads(json.dumps(analysis_json("a.jpg", analysis(faces=2, race=True))))
        assert (answer["file"], answer["width"], len(answer["faces"])) == ("a.jpg", 640, 2)
        assert len(answer["faces"][0]["age"]["probs"]) == 101

    def test_numpy_numbers_become_plain(self):
        answer = analysis()
        face = Face(tuple(np.float32([1, 2, 3, 4])), np.float32(0.5))
        odd = dataclasses.replace(
            answer.predictions[0], face=face, age=AgeEstimate(np.float32(30.123))
        )
        (row,) = face_rows("a.jpg", dataclasses.replace(answer, predictions=(odd,)))
        assert json.loads(json.dumps(row))["age"] == 30.12


class TestTables:
    @pytest.fixture
    def rows(self) -> list[dict]:
        error = error_row(
            "bad, «odd».jpg", InvalidImageError("Not\na image. Try again.", "not_an_image")
        )
        return [
            *face_rows("a.jpg", analysis(faces=2)),
            *face_rows("none.jpg", analysis(faces=0)),
            error,
        ]

    def test_csv(self, rows):
        read = list(csv.DictReader(io.StringIO(table_csv(rows))))
        assert list(read[0]) == table_columns()
        assert [row["file"] for row in read] == ["a.jpg", "a.jpg", "none.jpg", "bad, «odd».jpg"]
        assert [row["face"] for row in read] == ["1", "2", "", ""]
        assert read[3]["error"] == "Not\na image. Try again."

    def test_csv_of_rows_with_and_without_race(self, rows):
        read = list(
            csv.DictReader(io.StringIO(table_csv(rows + face_rows("r.jpg", analysis(race=True)))))
        )
        assert list(read[0]) == list(COLUMN_TYPES)
        assert [row["race"] for row in read] == ["", "", "", "", "White"]

    def test_csv_of_nothing_is_a_header(self):
        assert table_csv([]) == ",".join(table_columns()) + "\n"

    def test_parquet(self, rows, tmp_path):
        path = tmp_path / "table.parquet"
        write_table(rows, path)
        table = pd.read_parquet(path)
        assert list(table) == table_columns()
        assert table["face"].tolist() == [1, 2, pd.NA, pd.NA]
        assert {
            name: str(kind) for name, kind in table.dtypes.items() if name in {"face", "age"}
        } == {"face": "Int64", "age": "Float64"}
        assert table["file"].tolist() == [row["file"] for row in rows]

    def test_parquet_keeps_types_where_all_is_empty(self, tmp_path):
        path = tmp_path / "table.parquet"
        write_table([error_row("x", ValueError("y"))], path, race=True)
        assert list(pd.read_parquet(path)) == list(COLUMN_TYPES)
        assert str(pd.read_parquet(path)["age"].dtype) == "Float64"

    def test_csv_and_jsonl_files(self, rows, tmp_path):
        write_table(rows, tmp_path / "table.CSV")
        assert (tmp_path / "table.CSV").read_text(encoding="utf-8") == table_csv(rows)
        write_table(rows, tmp_path / "table.jsonl")
        assert [
            json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines()
        ] == rows

    def test_unknown_suffix(self, rows, tmp_path):
        with pytest.raises(ConfigError, match=r"\.csv, \.parquet or \.jsonl"):
            write_table(rows, tmp_path / "table.xlsx")


def touched(before: Image.Image, after: Image.Image) -> np.ndarray:
    """(H, W) bool: pixels that changed."""
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


def rgb(colour: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(colour[1:]))


def label_boxes(picture: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """Bounds (left, top, right, bottom) of pixels of exactly this colour."""
    ys, xs = np.nonzero((np.asarray(picture) == rgb(colour)).all(axis=2))
    return xs.min(), ys.min(), xs.max(), ys.max()


class TestAnnotate:
    @pytest.mark.parametrize(
        "size", [(20, 20), (64, 64), (200, 120), (640, 480), (3000, 2000), (3000, 60), (60, 1500)]
    )
    def test_any_size(self, size):
        answer = analysis(*size, faces=2)
        before = answer.image.copy()
        result = annotate(answer)
        assert (result.size, result.mode) == (size, "RGB")
        assert touched(before, result).any()
        assert not touched(before, answer.image).any(), "the image itself was drawn on"

    def test_no_faces_no_ink(self):
        answer = analysis(faces=0)
        assert not touched(answer.image, annotate(answer)).any()

    def test_each_face_has_its_colour(self):
        result = np.asarray(annotate(analysis(1600, 400, faces=4)))
        for colour in PALETTE[:4]:
            assert (result == rgb(colour)).all(axis=2).sum() > 500
        assert not (result == rgb(PALETTE[4])).all(axis=2).any()

    @pytest.mark.parametrize(
        "box",
        [
            (0, 0, 60, 60),
            (580, 0, 640, 60),
            (0, 420, 60, 480),
            (580, 420, 640, 480),
            (-50, -50, 40, 40),
            (600, 440, 900, 900),
            (0, 0, 640, 480),
        ],
    )
    def test_a_label_at_an_edge_is_whole(self, box):
        """A label's filled background is as large as one in the middle of the image."""
        picture = Image.new("RGB", (640, 480), (90, 90, 90))
        middle = annotate(with_boxes(picture, (300, 200, 301, 201)))
        edge = annotate(with_boxes(picture, box))
        fill = (np.asarray(edge) == rgb(PALETTE[0])).all(axis=2).sum()
        assert fill >= 0.9 * (np.asarray(middle) == rgb(PALETTE[0])).all(axis=2).sum()

    @pytest.mark.parametrize(
        "box", [(700, 500, 800, 600), (-90, -90, -10, -10), (50, 50, 50, 50), (90, 90, 40, 40)]
    )
    def test_odd_boxes_do_not_break_it(self, box):
        assert annotate(with_boxes(Image.new("RGB", (640, 480)), box)).size == (640, 480)

    def test_a_label_does_not_hide_the_face_where_there_is_room(self):
        result = annotate(with_boxes(Image.new("RGB", (640, 480)), (200, 0, 400, 200)))
        inside = np.asarray(result)[10:190, 210:390]
        assert not inside.any()

    def test_neighbours_labels_keep_off_each_other(self):
        result = annotate(
            with_boxes(Image.new("RGB", (640, 480)), (200, 200, 260, 260), (225, 200, 285, 260))
        )
        first, second = (label_boxes(result, colour) for colour in PALETTE[:2])
        assert first[1] < 200 - 5, "the first label is above its box"
        assert second[3] > 260 + 5, "the second one has gone below"

    def test_letters_and_lines_grow_with_the_image(self):
        small, large = (
            touched(a.image, annotate(a)).sum() / a.image.width**2
            for a in (analysis(500, 500), analysis(2500, 2500))
        )
        assert 0.4 < large / small < 2.5

    @pytest.mark.parametrize("turned", [90, 180, 270])
    def test_turned_images_are_shown_upright_with_boxes_on_the_faces(self, turned):
        image = Image.new("RGB", (640, 480))
        box = (400, 60, 520, 140)
        image.paste((250, 250, 250), box)
        answer = FakePredictor(faces=1, turned=turned).run(image)
        (one,) = answer.predictions
        corners = np.array([(400, 60), (520, 60), (400, 140), (520, 140), (460, 100)], dtype=float)
        answer = dataclasses.replace(
            answer,
            predictions=(dataclasses.replace(one, face=Face(box, 0.9, corners, turned=turned)),),
        )
        shown = answer.upright()
        assert shown.turned == 0 and shown.image.size == (
            (640, 480) if turned == 180 else (480, 640)
        )
        face = shown.predictions[0].face
        x0, y0, x1, y1 = (round(value) for value in face.box_xyxy)
        pixels = np.asarray(shown.image)[..., 0]
        assert pixels[y0:y1, x0:x1].min() == 250 and (pixels > 0).sum() == 120 * 80
        assert (face.landmarks[4] == ((x0 + x1) / 2, (y0 + y1) / 2)).all() and face.turned == 0
        assert (face.landmarks.min(axis=0) == (x0, y0)).all() and (
            face.landmarks.max(axis=0) == (x1, y1)
        ).all()
        assert (
            annotate(answer).size
            == shown.image.size
            == Image.open(io.BytesIO(preview(answer))).size
        )
        assert np.array_equal(np.asarray(annotate(answer)), np.asarray(annotate(shown)))
        assert answer.as_dict()["width"] == 640 and answer.as_dict()["faces"][0]["face"][
            "box_xyxy"
        ] == list(box)

    def test_upright_images_stay_as_they_are(self):
        answer = analysis(faces=2)
        assert answer.upright() is answer and annotate(answer).size == (640, 480)


class TestLabels:
    def test_from_whole_to_shortest(self):
        prediction = fake_prediction(Image.new("RGB", (200, 200)), 0, 1)
        texts = label_texts(1, prediction)
        assert texts[0].startswith("1  34 (2") and texts[0].endswith(")  Female 97%")
        assert texts[1:] == ["1  34  Female 97%", "1  34  Female", "1  34", "1"]

    def test_what_is_unknown_is_left_out(self):
        prediction = fake_prediction(Image.new("RGB", (200, 200)), 0, 1)
        assert (
            label_texts(2, dataclasses.replace(prediction, age=AgeEstimate(30.4), gender=None))[0]
            == "2  30"
        )
        assert (
            label_texts(2, dataclasses.replace(prediction, age=AgeEstimate(29.0, group="25-32")))[0]
            == "2  29 (25-32)  Female 97%"
        )

    def test_a_network_of_ranges_shows_its_range_and_no_year(self):
        prediction = fake_prediction(Image.new("RGB", (200, 200)), 0, 1)
        ranges = Categorical(("10-19", "20–29", "70+"), 1, (0.1, 0.6, 0.3))
        age = AgeEstimate(30.4, group="20–29", ranges=ranges)
        texts = label_texts(1, dataclasses.replace(prediction, age=age))
        assert texts == ["1  20-29  Female 97%", "1  20-29  Female", "1  20-29", "1"]

    def test_a_gender_that_is_too_close_to_call_is_not_named(self):
        prediction = fake_prediction(Image.new("RGB", (200, 200)), 0, 1)
        gender = Categorical(("Female", "Male"), 0, (0.62, 0.38))
        texts = label_texts(1, dataclasses.replace(prediction, gender=gender))
        assert texts[0].endswith(")  gender undecided") and "Female" not in "".join(texts)
        assert texts[1:] == ["1  34  gender undecided", "1  34", "1"]

    def test_labels_have_signs_the_font_has(self):
        """A sign without a glyph is drawn as the same box as any other such sign."""
        font = label_font(20)
        missing = font.getmask("\ue000").getbbox(), bytes(font.getmask("\ue000"))
        for sign in drawable("0–9—1−2×«3»’4\u00a05 %·…°"):
            assert (font.getmask(sign).getbbox(), bytes(font.getmask(sign))) != missing, sign

    @pytest.mark.parametrize("colour", PALETTE)
    def test_contrast(self, colour):
        """WCAG asks for 4.5 to 1 for text."""
        ink = relative_luminance(text_colour(colour))
        darker, lighter = sorted((ink, relative_luminance(colour)))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5
