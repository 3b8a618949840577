"""The functions behind Gradio's tabs and its typed API. Imports Gradio: ``preparation.prepare``
comes first.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from agegender_core.serving import runtime, service
from agegender_core.serving.api_schema import AnalysisJson, AttentionJson, FailureJson
from agegender_core.vision.image_io import load_image
from ui.gradio import components as parts
from ui.gradio.components import UploadedImage

PROGRESS = gr.Progress()


def photo_answer(
    image: UploadedImage | None, weights: str, request: gr.Request
) -> tuple[str, str, Any, Any]:
    """Image with boxes, a card with its own curve for each face, table and JSON."""
    parts.show_uploads(request, "photo", [image])
    if image is None:
        return parts.EMPTY, "", parts.hidden(), None
    analysis = service.predict(image.data, weights, already_admitted=True)
    table = parts.shown(parts.table([(image.name, analysis)]))
    return (
        parts.marked(analysis, image.name),
        parts.cards(analysis),
        table,
        {"file": image.name, **analysis.as_dict()},
    )


def attention_answer(
    image: UploadedImage | None, weights: str, face: float | None, request: gr.Request
) -> tuple[str, Any]:
    """The masks of each block over the face, and JSON."""
    parts.show_uploads(request, "attention", [image])
    if image is None:
        return parts.EMPTY, None
    maps = service.attention(image.data, weights, int(face or 1) - 1, already_admitted=True)
    return parts.masks(maps), service.attention_json(image.name, maps)


def batch_answer(
    images: list[UploadedImage], weights: str, request: gr.Request, progress: gr.Progress = PROGRESS
) -> tuple[str, Any, str]:
    """A summary, the table and links to download it."""
    parts.show_uploads(request, "batch", images)
    if not images:
        return parts.EMPTY, parts.hidden(), ""
    answers = []
    for name, outcome in service.predict_batch(
        [(one.name, one.data) for one in images], weights, already_admitted=True
    ):
        answers.append((name, outcome))
        progress((len(answers), len(images)), unit="images")
    return (
        parts.batch_words(answers),
        parts.shown(parts.table(answers)),
        parts.table_links(answers),
    )


def live_answer(
    image: UploadedImage | None, analyser: Any, weights: str, mirror: bool
) -> tuple[Any, str, Any]:
    """One frame, marked; who is in it; and the video's analyser."""
    if image is None or image.upload is None:
        return gr.skip(), gr.skip(), analyser
    with image.used():
        frame = load_image(image.data, limits=parts.frame_limits())
    if analyser is None or analyser.predictor.info.name != weights:
        analyser = parts.live_analyser(weights)
    if not runtime.video_slots().take(analyser):
        return frame, parts.LIVE_BUSY, analyser
    estimate = analyser.analyse(frame)
    return analyser.draw(estimate, mirror), parts.live_words(estimate), analyser


def api_predict(image: UploadedImage, weights: str) -> AnalysisJson:
    """One image's faces."""
    with image.used():
        return {
            "file": image.name,
            **service.predict(image.data, weights, already_admitted=True).as_dict(),
        }


def api_batch(files: list[UploadedImage], weights: str) -> list[AnalysisJson | FailureJson]:
    """Many images' faces; a bad image is an entry with its error."""
    with parts.used(files):
        answers = service.predict_batch(
            [(one.name, one.data) for one in files], weights, already_admitted=True
        )
        return [parts.as_json(name, outcome) for name, outcome in answers]


def api_attention(image: UploadedImage, weights: str, face: float) -> AttentionJson:
    """Where a model with masks looks on one face."""
    with image.used():
        return service.attention_json(
            image.name, service.attention(image.data, weights, int(face), already_admitted=True)
        )
