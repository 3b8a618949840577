"""Downloads of answers. Big ones are made when their button is pressed, not on every run of the
page.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import PurePath

import streamlit as st

from agegender_core.output.tables import error_json, error_row, table_csv
from ui.common.images import encoded
from ui.common.messages import plain
from ui.common.session_results import Answer, Failure


def buttons(answers: Sequence[Answer | Failure]) -> None:
    """JSON, CSV and annotated image of one answer; JSON list, one CSV and a ZIP of images for
    several.
    """
    stem = PurePath(answers[0].image.name).stem if len(answers) == 1 else f"{len(answers)}-images"
    good = [answer for answer in answers if isinstance(answer, Answer)]
    many = len(answers) > 1
    with st.container(horizontal=True, key=f"downloads-{'all' if many else 'one'}"):
        _button(
            "JSON of all" if many else "JSON",
            json_text(answers),
            f"{stem}-faces.json",
            "application/json",
            ":material/data_object:",
        )
        _button(
            "CSV of all" if many else "CSV",
            csv_text(answers),
            f"{stem}-faces.csv",
            "text/csv",
            ":material/table:",
        )
        if many:
            _button(
                "All images",
                lambda: images_zip(good),
                f"{stem}-faces.zip",
                "application/zip",
                ":material/folder_zip:",
            )
        elif good:
            _button(
                "Image", lambda: png(good[0]), f"{stem}-faces.png", "image/png", ":material/image:"
            )


def json_text(answers: Sequence[Answer | Failure]) -> str:
    """One document, or a list of them."""
    documents = [
        answer.document
        if isinstance(answer, Answer)
        else error_json(answer.image.name, answer.error)
        for answer in answers
    ]
    return json.dumps(
        documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False
    )


def csv_text(answers: Sequence[Answer | Failure]) -> str:
    """A row a face; images without an answer have a row that says why."""
    rows = []
    for answer in answers:
        rows += (
            answer.rows
            if isinstance(answer, Answer)
            else [error_row(answer.image.name, answer.error)]
        )
    return table_csv(rows)


def png(answer: Answer) -> bytes:
    """The annotated image in its own size."""
    return encoded(answer.annotated(), "PNG", compress_level=3)


def images_zip(answers: Sequence[Answer]) -> bytes:
    """Annotated images as JPEG (PNG would be ten times the size), numbered because names may
    repeat.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, answer in enumerate(answers, start=1):
            archive.writestr(
                f"{number:03d}-{PurePath(answer.image.name).stem}.jpg",
                encoded(answer.annotated(), quality=92),
            )
    return buffer.getvalue()


def _button(
    label: str, data: str | Callable[[], bytes], file_name: str, mime: str, icon: str
) -> None:
    st.download_button(
        label,
        data,
        file_name,
        mime,
        icon=icon,
        on_click="ignore",
        key=f"download-{mime}-{file_name}",
        help=f"Save {plain(file_name)}",
    )
