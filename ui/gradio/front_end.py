"""The Gradio front end: its tabs, and its API's endpoints. Imports Gradio: ``preparation.prepare``
comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from fastapi import FastAPI

from agegender_core.serving import runtime, service
from agegender_core.serving.api_schema import AnalysisJson, AttentionJson, FailureJson
from ui.compat import gradio_private
from ui.gradio import answers
from ui.gradio import components as parts
from ui.gradio.components import failing

THREADS = 24
"""Of Gradio's functions. Without a number it would use the threads in which Streamlit serves its
pages.
"""
SESSIONS = 200
"""Visitors whose page's state is stored; the one longest unused loses it."""
LIVE_SECONDS = 120
"""A live video occupies a slot; after so long it pauses, and a click starts it again."""


def mounted(path: str, **options: Any) -> FastAPI:
    """An app that has the front end at ``path``; ``options`` are further ones of Gradio's own."""
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    return gr.mount_gradio_app(outer, build(), path, **_served(), **options)


def build() -> gr.Blocks:
    """The whole front end. Raises ``ConfigError`` or ``WeightsError`` where it cannot be
    offered.
    """
    settings, names, with_masks = runtime.settings(), service.choices(), service.attention_choices()
    with gr.Blocks(title="Age and gender from faces", analytics_enabled=False) as demo:
        gr.Markdown(parts.heading())
        with gr.Tabs():
            with gr.Tab("Photo", id="photo"):
                _photo_tab(names)
            with gr.Tab("Live", id="live"):
                _live_tab(names, settings.race, settings.concurrent)
            if with_masks:
                with gr.Tab("Attention", id="attention"):
                    _attention_tab(with_masks)
            with gr.Tab("Batch", id="batch"):
                _batch_tab(names, settings.max_pictures)
        _api(names, with_masks)
        gr.Markdown(parts.FOOT)
        demo.unload(parts.page_closed)
    # Whoever calls the API without a session counts as a new one, with state of its own.
    gradio_private.limit_state_and_threads(demo, SESSIONS, THREADS)
    # The guard counts who may wait.
    return demo.queue(max_size=None, default_concurrency_limit=settings.concurrent, api_open=False)


def _photo_tab(names: list[str]) -> None:
    with gr.Row():
        with gr.Column(scale=5):
            image = parts.photo("Image with faces")
            weights = gr.Dropdown(
                parts.named(names), value=names[0], label="Model", filterable=False
            )
            with gr.Row():
                clear = gr.Button("Clear", variant="secondary")
                ask = gr.Button("Estimate", variant="primary")
            gr.Examples(
                parts.examples(),
                image,
                label="Examples",
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(scale=6):
            marked = gr.HTML(parts.EMPTY, label="Faces found")
            cards = gr.HTML()
    table = gr.Dataframe(
        label="All faces", interactive=False, wrap=True, show_search="none", visible=False
    )
    with gr.Accordion("As JSON", open=False):
        raw = gr.JSON(show_label=False)
    outputs = [marked, cards, table, raw]
    run = parts.on_page(answers.photo_answer, "", parts.hidden, None)
    how: dict[str, Any] = {
        "inputs": [image, weights],
        "outputs": outputs,
        "api_visibility": "private",
        "concurrency_id": "network",
        "show_progress_on": marked,
    }
    gr.on([ask.click, image.change, weights.input], run, **how, trigger_mode="always_last")
    clear.click(
        lambda: (None, parts.EMPTY, "", parts.hidden(), None),
        None,
        [image, *outputs],
        api_visibility="private",
        queue=False,
    )


def _live_tab(names: list[str], race: bool, at_once: int) -> None:
    consent = gr.Markdown(parts.consent(race))
    agree = gr.Button("Agree and show the camera", variant="primary")
    analyser = gr.State(None, time_to_live=600)
    with gr.Column(visible=False) as stage:
        with gr.Row():
            weights = gr.Dropdown(
                parts.named(names), value=names[0], label="Model", filterable=False
            )
            mirror = gr.Checkbox(True, label="Mirror")
        with gr.Row():
            camera = parts.camera("Camera: press record")
            marked = parts.video("Faces")
        words = gr.HTML(parts.LIVE_EMPTY)
    agree.click(
        lambda: (gr.update(visible=True), parts.hidden(), parts.hidden()),
        None,
        [stage, agree, consent],
        api_visibility="private",
        queue=False,
    )
    camera.stream(
        failing(answers.live_answer),
        [camera, analyser, weights, mirror],
        [marked, words, analyser],
        stream_every=0.06,
        time_limit=LIVE_SECONDS,
        concurrency_limit=at_once,
        concurrency_id="live",
        api_visibility="private",
        show_progress="hidden",
    )


def _attention_tab(names: list[str]) -> None:
    with gr.Row():
        with gr.Column(scale=4):
            image = parts.photo("Image with a face")
            weights = gr.Dropdown(
                parts.named(names), value=names[0], label="Model", filterable=False
            )
            face = gr.Number(1, label="Face, 1 for the largest", minimum=1, precision=0)
            ask = gr.Button("Show the masks", variant="primary")
            gr.Examples(
                parts.examples()[:1],
                image,
                label="Example",
                cache_examples=False,
                api_visibility="private",
            )
        with gr.Column(scale=7):
            masks = gr.HTML(parts.EMPTY, label="Masks")
    with gr.Accordion("As JSON", open=False):
        raw = gr.JSON(show_label=False)
    how: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "network",
        "trigger_mode": "always_last",
    }
    triggers: list[Callable] = [ask.click, image.change, weights.input, face.submit]
    gr.on(
        triggers,
        parts.on_page(answers.attention_answer, None),
        [image, weights, face],
        [masks, raw],
        show_progress_on=masks,
        **how,
    )


def _batch_tab(names: list[str], most: int) -> None:
    files = parts.files(f"Up to {most} images")
    with gr.Row():
        weights = gr.Dropdown(parts.named(names), value=names[0], label="Model", filterable=False)
        ask = gr.Button("Estimate all", variant="primary")
    words, links = gr.HTML(parts.EMPTY), gr.HTML()
    table = gr.Dataframe(
        label="A row a face", interactive=False, wrap=True, show_search="none", visible=False
    )
    run = parts.on_page(answers.batch_answer, parts.hidden, "")
    ask.click(
        run,
        [files, weights],
        [words, table, links],
        api_visibility="private",
        concurrency_id="network",
        show_progress_on=words,
    )


def _api(names: list[str], with_masks: list[str]) -> None:
    """The endpoints that others call. They have components of their own, which no page shows."""
    with gr.Row(visible=False):
        weights = gr.Dropdown(names, value=names[0], label="weights", allow_custom_value=True)
        image, many = parts.photo("image"), parts.files("files")
        ask = [gr.Button(f"api {number}") for number in range(3)]
        how: dict[str, Any] = {"api_visibility": "public", "concurrency_id": "network"}
        one = parts.answer("analysis", AnalysisJson)
        ask[0].click(
            failing(answers.api_predict),
            [image, weights],
            one,
            api_name="predict",
            api_description=parts.API["predict"],
            **how,
        )
        all_ = parts.answer("answers", list[AnalysisJson | FailureJson])
        ask[1].click(
            failing(answers.api_batch),
            [many, weights],
            all_,
            api_name="predict_batch",
            api_description=parts.API["predict_batch"],
            **how,
        )
        if with_masks:
            masked = gr.Dropdown(
                with_masks, value=with_masks[0], label="weights", allow_custom_value=True
            )
            face = gr.Number(0, label="face", precision=0)
            masks = parts.answer("attention", AttentionJson)
            ask[2].click(
                failing(answers.api_attention),
                [image, masked, face],
                masks,
                api_name="attention",
                api_description=parts.API["attention"],
                **how,
            )


def _served() -> dict[str, Any]:
    """How the front end is shown, alone or beside Streamlit."""
    return {
        "theme": parts.theme(),
        "css": parts.CSS,
        "js": parts.ON_LOAD,
        "footer_links": ["api"],
        "run_history": False,
        "ssr_mode": False,
        "max_file_size": f"{runtime.settings().max_mb}mb",
        "show_error": True,
        "enable_monitoring": False,
    }
