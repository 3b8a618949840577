"""Very large JPEGs are decoded at half their size; what is said of their faces is in the file's own
pixels.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from agegender_core.batch.image_refs import FilePlace, Item
from agegender_core.batch.pipeline import Finder
from agegender_core.inference import predictor as core
from agegender_core.output.tables import face_rows
from agegender_core.types import Analysis, Face, InputSpec, Timing
from agegender_core.vision.image_io import ImageLimits, load_image
from tests.support.fakes import fake_prediction

REDUCING = ImageLimits(reduce_above=100_000)


@pytest.fixture
def photograph(portrait: Image.Image) -> bytes:
    """512x512: reduced to 256x256 by ``REDUCING``."""
    buffer = io.BytesIO()
    portrait.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_documents_and_rows_are_in_the_files_pixels(photograph: bytes) -> None:
    image = load_image(photograph, limits=REDUCING)
    analysis = Analysis(image, (fake_prediction(image, 0, 1),), "w", Timing(1, 1, 1))
    whole = load_image(photograph)
    expected = Analysis(whole, (fake_prediction(whole, 0, 1),), "w", Timing(1, 1, 1))
    assert image.size == (256, 256) and analysis.scale == 2 and expected.scale == 1
    reported, full = analysis.as_dict(), expected.as_dict()
    assert (reported["width"], reported["height"]) == (512, 512)
    assert reported["faces"][0]["face"]["box_xyxy"] == pytest.approx(
        full["faces"][0]["face"]["box_xyxy"], abs=0.2
    )
    assert np.allclose(
        reported["faces"][0]["face"]["landmarks"], full["faces"][0]["face"]["landmarks"], atol=0.2
    )
    (row,), (full_row,) = face_rows("a", analysis), face_rows("a", expected)
    assert [row[name] for name in ("x0", "y0", "x1", "y1")] == pytest.approx(
        [full_row[name] for name in ("x0", "y0", "x1", "y1")], abs=0.2
    )
    # On the image at hand, boxes fit that image.
    assert analysis.predictions[0].face.box_xyxy[2] <= 256


def test_the_predictors_list_is_in_the_files_pixels(
    photograph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = SimpleNamespace(name="w", input=InputSpec())
    face = Face((50.0, 40.0, 150.0, 160.0), 0.99)
    monkeypatch.setattr(
        core.Predictor, "predict_crops", lambda self, crops, faces: [_about(one) for one in faces]
    )
    runner = core.Predictor(info, None, lambda image: [face], limits=REDUCING)  # type: ignore[arg-type]
    assert runner.predict(photograph)[0].face.box_xyxy == (100, 80, 300, 320)
    assert runner.run(photograph).predictions[0].face.box_xyxy == face.box_xyxy
    whole = core.Predictor(info, None, lambda image: [face])  # type: ignore[arg-type]
    assert whole.predict(photograph)[0].face.box_xyxy == face.box_xyxy


def test_rows_of_a_batch_are_in_the_files_pixels(photograph: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(photograph)
    item = Item("a", "a.jpg", FilePlace(str(path)))
    found = [Finder(InputSpec(), 24, limits)(item) for limits in (REDUCING, ImageLimits())]
    (reduced,), (whole,) = (one.faces for one in found)
    assert np.abs(np.subtract(reduced.box_xyxy, whole.box_xyxy)).max() < 12
    assert found[0].crops.shape == found[1].crops.shape


@pytest.mark.slow
def _about(face: Face):
    image = Image.new("RGB", (200, 200))
    return replace(fake_prediction(image, 0, 1), face=face)
