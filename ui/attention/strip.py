"""The masks of a face in a row as small images, for other pages' cards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from agegender_core.types import Prediction
from ui.attention.export import over_face
from ui.attention.figures import images_row, limits
from ui.attention.layers import title
from ui.attention.session import Subject, cached, networks
from ui.common import gated, services
from ui.common.images import image_url
from ui.common.session_results import Answer

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

SIDE = 128
"""Of each image, in pixels."""
BLOCKS = 3
"""Of a model of three networks, those of the first, which estimates the decade."""
COLOURS, OPACITY = "viridis", 60


def model(installed: Sequence[ModelInfo], weights: str) -> ModelInfo | None:
    """The model whose masks are shown beside an answer of ``weights``: that one where it has masks,
    else the first of those for use; None where there is none.
    """
    own, _ = networks(installed)
    for_use = [info for info in own if not info.for_comparison]
    return next((info for info in own if info.name == weights), next(iter(for_use), None))


def html(info: ModelInfo, answer: Answer, index: int) -> str:
    """Face ``index`` (from 0) of ``answer`` under what the mask of each block of ``info`` changes,
    each on its own scale; made once for the session. Raises ``AgeGenderError``.
    """
    key = (info.name, answer.weights, answer.image.digest, index)
    return cached("strips", key, lambda: _made(info, answer, index))


def _made(info: ModelInfo, answer: Answer, index: int) -> str:
    subject = _subject(info, answer, index)
    items = []
    for block in subject.maps().blocks[:BLOCKS]:
        values = block.effect()
        face = over_face(
            subject, values, COLOURS, limits(values, "own"), "sharp", False, OPACITY, SIDE
        )
        items.append((image_url(face), title(block.name), ""))
    words = "The model's attention masks"
    if info.name != answer.weights:
        words = f"Attention masks of another model, {escape(info.title)}"
    row = images_row(items).replace('class="ag-maps', 'class="ag-maps ag-strip', 1)
    words += ": bright where they make the most difference."
    return f'{row}<p class="ag-quiet ag-small">{words}</p>'


def _subject(info: ModelInfo, answer: Answer, index: int) -> Subject:
    """The face cut out for ``info``, whichever model answered."""
    predictor = services.predictor(info.name, False)
    if info.name == answer.weights:
        return Subject(info, predictor, answer, index)
    from agegender_core.vision.alignment import align

    known = answer.predictions[index]
    image = gated.image(answer.image.data, services.settings().image_limits)
    crop = align(image, known.face, info.input)
    prediction: Prediction = dataclasses.replace(known, crop=crop)
    return Subject(info, predictor, dataclasses.replace(answer, predictions=(prediction,)), 0)
