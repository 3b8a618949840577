"""How images come in: upload, camera or an example. Nothing is written to disk on the way."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from agegender_core.output.tables import describe_attributes
from agegender_core.vision.image_io import IMAGE_SUFFIXES
from ui.common import examples, services, state, uploads
from ui.common.messages import plain
from ui.common.session_results import InputImage
from ui.common.state import PAGE

UPLOAD, CAMERA, SAMPLE = (
    ":material/upload: Upload",
    ":material/photo_camera: Camera",
    ":material/portrait: Sample",
)
NAMED = 3
"""Saved images that are named; more are behind an ellipsis."""
FORMATS = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF, up to {} MB each."


def images_or_example(race: bool) -> list[InputImage]:
    """The visitor's images, else the chosen example, the first unless another was clicked: Predict
    always has an image to answer.

    ``race``: whether race is estimated, so that the consent says so.
    """
    camera = state.SOURCE.get() == CAMERA
    example = state.EXAMPLE.get()
    own = bool(state.UPLOADER.get() or state.saved_uploads())
    with st.container(key="upload-line" if own or camera else "upload-area", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            files = _uploader(on_change=_back_to_uploads, label="collapsed")
            st.button(
                "Camera",
                icon=":material/photo_camera:",
                key="camera-source",
                type="primary" if camera else "secondary",
                on_click=_toggle_source,
            )
        uploaded = _at_hand(files)
        uploads.render_refusal()
    if camera:
        shot = _snapshot(race)
        if shot:
            return shot
    if uploaded and not camera and state.SOURCE.get() != SAMPLE:
        _example_strip(None)
        return uploaded
    key = example if example in examples.EXAMPLES else examples.FIRST
    _example_strip(key, [] if camera else uploaded)
    return [] if camera else [examples.image(key)]


def formats_and_privacy() -> None:
    """Which files are read, and what becomes of them."""
    private = (
        "Images are read in memory, never stored or logged, and forgotten"
        f" {uploads.forgotten_words()}."
    )
    st.caption(f"{private} {FORMATS.format(services.settings().max_mb)}")


def _example_strip(chosen: str | None, own: Sequence[InputImage] = ()) -> None:
    """A row of thumbnails; the ``chosen`` one is marked. Before them the way back to the visitor's
    ``own`` images, where an example is shown instead.
    """
    with st.container(horizontal=True, gap="xsmall", key="examples", wrap=False):
        if own:
            st.button(
                "Your images" if len(own) > 1 else "Your image",
                icon=":material/undo:",
                key="back-to-own",
                help=", ".join(plain(image.name) for image in own[:NAMED]),
                on_click=state.SOURCE.set,
                args=(UPLOAD,),
            )
        for key, example in examples.EXAMPLES.items():
            st.button(
                f"![{plain(example.source)}]({examples.thumbnail(key)}) {example.label}",
                key=f"example-{key}",
                type="primary" if key == chosen else "secondary",
                on_click=_choose_example,
                args=(key,),
            )


def _choose_example(key: str) -> None:
    state.SOURCE.set(SAMPLE)
    state.EXAMPLE.set(key)


def _toggle_source() -> None:
    state.SOURCE.set(UPLOAD if state.SOURCE.get() == CAMERA else CAMERA)
    state.CAMERA_OPEN.set(False)


def _back_to_uploads() -> None:
    """Files were added or removed: they are a new choice of what is shown, and of that alone."""
    state.SOURCE.set(UPLOAD)
    state.drop_saved_uploads()


def tabbed_images(race: bool) -> list[InputImage]:
    """The images of the open tab; an empty list where none came in yet. ``race``: whether race is
    estimated, so that the consent says so.
    """
    upload, camera, sample = st.tabs(
        [UPLOAD, CAMERA, SAMPLE], key=state.SOURCE.key, on_change="rerun"
    )
    with upload:  # always there: its files outlive a visit to another tab
        files = _uploader(on_change=state.drop_saved_uploads)
        uploaded = _at_hand(files)
        uploads.render_refusal()
        formats_and_privacy()
    if camera.open:
        with camera:
            return _snapshot(race)
    if sample.open:
        with sample:
            st.caption(f"Portrait of {examples.COLLINS}.")
            return [examples.image(examples.FIRST)]
    return uploaded


def hand_over(page: str, image: InputImage) -> None:
    """Make ``image`` the one that ``page`` opens with."""
    if image.digest == examples.image(examples.FIRST).digest:
        state.SOURCE.set(SAMPLE)
        return
    state.SOURCE.set(UPLOAD)
    state.save_uploads(page, [image])


def privacy_sentence(race: bool) -> str:
    """What is estimated, where, and what becomes of the image."""
    what = describe_attributes(race)
    return (
        f"From the snapshot you take, this app estimates the {what} of each face. It happens in the"
        " memory of the computer that runs the app; nothing is stored, logged or passed on, and it"
        " is forgotten soon after you close the page."
    )


def _uploader(on_change: object, label: str = "visible") -> Sequence:
    files = st.file_uploader(
        "Images with faces",
        type=sorted(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES),
        accept_multiple_files=True,
        max_upload_size=_most_mb(),
        key=state.UPLOADER.key,
        on_change=on_change,
        label_visibility=label,
    )
    uploads.mark_in_use(files)
    return files


def _most_mb() -> int:
    """Megabytes of one file: browsers refuse a larger one at once and say so in its place."""
    return min(services.settings().max_mb, int(st.get_option("server.maxUploadSize")))


def _at_hand(files: Sequence) -> list[InputImage]:
    """What was uploaded, on this visit to the page or before: Streamlit forgets a page's uploads
    when another page is opened.
    """
    page = PAGE.get()
    if files:
        state.save_uploads(page, [InputImage(file.name, file.getvalue()) for file in files])
    elif state.saved_uploads():
        _still_here(page, state.saved_uploads())
    return state.saved_uploads()


def _still_here(page: str, images: Sequence[InputImage]) -> None:
    """Which images are still here from before, and the way to be rid of them."""
    names = ", ".join(image.name for image in images[:NAMED]) + (
        " …" if len(images) > NAMED else ""
    )
    with st.container(
        horizontal=True, vertical_alignment="center", key="kept-uploads", gap="small", wrap=False
    ):
        count = f"{len(images)} images, " if len(images) > 1 else ""
        st.markdown(f":material/history: Still here: {count}{plain(names)}")
        st.button(
            "Remove", icon=":material/close:", key="remove-uploads", on_click=_forget, args=(page,)
        )


def _forget(page: str) -> None:
    """Drop the uploads of a page and every answer to them."""
    answers = state.ANSWERS.get()
    for image in state.drop_saved_uploads(page):
        for key in [key for key in answers if key[0] == image.digest]:
            del answers[key]
        state.FACES.get().pop(image.digest, None)


def _snapshot(race: bool) -> list[InputImage]:
    """The camera's widget exists only after the button: browsers ask for the camera as soon as it
    does.
    """
    st.html(f'<p class="ag-privacy">{escape(privacy_sentence(race))}</p>')
    is_open = state.CAMERA_OPEN.get()
    label, icon = (
        ("Close the camera", ":material/videocam_off:")
        if is_open
        else ("Open the camera", ":material/videocam:")
    )
    st.button(
        label,
        icon=icon,
        type="secondary" if is_open else "primary",
        key="camera_button",
        on_click=_toggle_camera,
    )
    if not is_open:
        return []
    shot = st.camera_input(
        "Snapshot", key="snapshot", resolution="720p", label_visibility="collapsed", width=560
    )
    return [] if shot is None else [InputImage("snapshot.jpg", shot.getvalue())]


def _toggle_camera() -> None:
    state.CAMERA_OPEN.set(not state.CAMERA_OPEN.get())
