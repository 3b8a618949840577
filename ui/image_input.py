"""How pictures come in: upload, camera or the bundled sample. Nothing is written to disk on the way."""

from __future__ import annotations

import io
from functools import cache
from html import escape

import streamlit as st

from agegender_core.export import estimated
from agegender_core.imaging import PICTURE_SUFFIXES
from ui import services
from ui.answers import Picture

UPLOAD, CAMERA, SAMPLE = ":material/upload: Upload", ":material/photo_camera: Camera", ":material/portrait: Sample"
SOURCE_KEY = "source"
FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF, up to {} MB each."


def pictures(race: bool) -> list[Picture]:
    """The pictures of the open tab; an empty list where none was given yet. ``race``: whether race is estimated, so that it is said."""
    upload, camera, sample = st.tabs([UPLOAD, CAMERA, SAMPLE], key=SOURCE_KEY, on_change="rerun")
    with upload:  # always there: its files outlive a look at another tab
        uploaded = _uploads()
    if camera.open:
        with camera:
            return _snapshot(race)
    if sample.open:
        with sample:
            return _sample()
    return uploaded


def offer_sample() -> None:
    """A button that brings the sample tab to the front."""
    st.button("Try it with the sample portrait", icon=":material/portrait:", key="try_sample", on_click=_open_sample)


def _open_sample() -> None:
    st.session_state[SOURCE_KEY] = SAMPLE


def privacy_sentence(race: bool) -> str:
    """What is estimated, where, and what becomes of the picture."""
    what = estimated(race)
    return (
        f"From the snapshot you take, this app estimates the {what} of each face. It happens in the memory of the computer that runs "
        "the app; nothing is stored, logged or passed on, and it is forgotten soon after you close the page."
    )


def _uploads() -> list[Picture]:
    files = st.file_uploader(
        "Pictures with faces",
        type=sorted(suffix.removeprefix(".") for suffix in PICTURE_SUFFIXES),
        accept_multiple_files=True,
        key="uploads",
    )
    st.caption(f"{FORMATS.format(services.settings().max_mb)} Pictures are read in memory and never stored or logged.")
    return [Picture(file.name, file.getvalue()) for file in files]


def _snapshot(race: bool) -> list[Picture]:
    """The camera's widget exists only after the button: browsers ask for the camera as soon as it does."""
    st.html(f'<p class="ag-privacy">{escape(privacy_sentence(race))}</p>')
    is_open = st.session_state.get("camera_open", False)
    label, icon = ("Close the camera", ":material/videocam_off:") if is_open else ("Open the camera", ":material/videocam:")
    st.button(label, icon=icon, type="secondary" if is_open else "primary", key="camera_button", on_click=_toggle_camera)
    if not is_open:
        return []
    shot = st.camera_input("Snapshot", key="snapshot", resolution="720p", label_visibility="collapsed", width=560)
    return [] if shot is None else [Picture("snapshot.jpg", shot.getvalue())]


def _toggle_camera() -> None:
    st.session_state["camera_open"] = not st.session_state.get("camera_open", False)


def _sample() -> list[Picture]:
    st.caption("Portrait of the astronaut Eileen Collins by NASA, in the public domain; it comes with scikit-image.")
    return [_sample_picture()]


@cache
def _sample_picture() -> Picture:
    from agegender_core.data.sample import SAMPLE_NAME, sample_portrait

    buffer = io.BytesIO()
    sample_portrait().save(buffer, "PNG")
    return Picture(SAMPLE_NAME, buffer.getvalue())
