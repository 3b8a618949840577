"""«Your own set»: labelled images of the visitor, run through a network with a bar that can be
stopped. Nothing touches the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from agegender_core.analysis.user_set import Job, UserDataset
from agegender_core.analysis.user_upload import HOW, MAX_IMAGES, read_user_dataset
from agegender_core.errors import AgeGenderError, DatasetError
from ui.common import messages, services, uploads
from ui.common.messages import plain
from ui.errors import images
from ui.errors import query_params as link
from ui.errors.data import ASKED, OWN_TABLE, OWN_VERSION, title

SET, JOB, GIVEN, PROBLEM, NOTE = (
    "errors-own-set",
    "errors-own-job",
    "errors-own-files",
    "errors-own-problem",
    "errors-own-note",
)
TURN = "errors-own-turn"
"""How often a set was forgotten."""
SHOWN = 500
"""Bad rows that are sent to the browser."""


@dataclass(frozen=True)
class UploadedImages:
    """The uploads behind a visitor's own set."""

    own: UserDataset
    missing: str = ""

    @property
    def name(self) -> str:
        """That of the set: images of one that was forgotten are not taken for those of the next."""
        return self.own.name

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """From memory."""
        return {file: self.own.contents[file] for file in files if file in self.own.contents}

    def row(self, file: str) -> int | None:
        """The explorer knows no uploads."""
        return None


def image_source() -> UploadedImages:
    """Images of the set in the session."""
    return UploadedImages(st.session_state[SET])


def show() -> None:
    """Upload, check, run."""
    st.markdown(
        f"Upload up to {MAX_IMAGES:,} labelled images as a zip or a folder,"
        f" {st.get_option('server.maxUploadSize')} MB a file and {uploads.session_mb()} MB in all:"
        f" {plain(HOW)}. They are read in memory, answered by the model you choose, and removed"
        " when you close the page; nothing is written to disk."
    )
    turn = st.session_state.get(TURN, 0)
    how = st.segmented_control(
        "Upload as",
        ("Zip or files", "Folder"),
        default="Zip or files",
        required=True,
        key="errors-own-how",
    )
    if how == "Folder":
        files = st.file_uploader(
            "Folder of images", accept_multiple_files="directory", key=f"errors-own-folder-{turn}"
        )
    else:
        files = st.file_uploader(
            "A zip, or images and a CSV",
            accept_multiple_files=True,
            key=f"errors-own-upload-{turn}",
        )
    uploads.seen(files)
    uploads.say_refused()
    # A run takes the place of all that stood here, instead of standing above its pale remains.
    with st.empty().container():
        if st.session_state.get(JOB) is not None:
            _run()
        else:
            _take(files or [])
            _given()


def _given() -> None:
    """What is known of the set, and what can be done with it."""
    if problem := st.session_state.get(PROBLEM):
        st.error(
            plain(problem), title="This dataset cannot be used", icon=":material/broken_image:"
        )
    if note := st.session_state.pop(NOTE, None):
        st.info(plain(note), icon=":material/stop:")
    own: UserDataset | None = st.session_state.get(SET)
    if own is not None:
        _checked(own)


def _take(files: Sequence[object]) -> None:
    """Read what was uploaded, once. An empty uploader leaves the set as it is: its images are in
    the session.
    """
    given = tuple(file.file_id for file in files)
    if not given or given == st.session_state.get(GIVEN):
        return
    st.session_state[GIVEN] = given
    _forget()
    try:
        with st.spinner("Checking …"):
            st.session_state[SET] = read_user_dataset(
                (file.name, file.getvalue()) for file in files
            )
    except DatasetError as error:
        st.session_state[PROBLEM] = str(error)


def _forget() -> None:
    if SET in st.session_state:
        images.forget(image_source())
    for name in (SET, JOB, PROBLEM, NOTE, OWN_TABLE, OWN_VERSION, ASKED, "errors-own-results"):
        st.session_state.pop(name, None)


def _checked(own: UserDataset) -> None:
    st.markdown(
        f"**{len(own.records):,}** labelled images can be used; notes on rows and files:"
        f" {len(own.bad):,}."
    )
    if own.bad:
        with st.expander(f"Left out or incomplete: {len(own.bad):,}", icon=":material/rule:"):
            st.dataframe(
                pd.DataFrame(own.bad[:SHOWN], columns=["file", "what is wrong"]),
                hide_index=True,
                width="stretch",
                key="errors-own-bad",
            )
    try:
        names = [entry.name for entry in services.installed_weights()]
    except AgeGenderError as error:
        messages.cannot_start(error)
        return
    if not names:
        messages.no_weights()
        return
    left = [name for name in names if name not in own.predictions]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if left:
            chosen = st.selectbox(
                "Model to run", left, format_func=title, key="errors-own-weights", width=360
            )
            st.button(
                "Start",
                icon=":material/play_arrow:",
                type="primary",
                key="errors-own-start",
                on_click=_start,
                args=(chosen,),
            )
        if own.predictions:
            st.button(
                "Open its gallery",
                icon=":material/photo_library:",
                key="errors-own-open",
                on_click=_open,
            )
        st.button(
            "Remove this dataset",
            icon=":material/delete:",
            key="errors-own-forget",
            on_click=_leave,
        )
    if own.predictions:
        st.caption(f"Answered by {plain(', '.join(map(title, own.predictions)))}.")


def _start(weights: str) -> None:
    st.session_state[JOB] = Job(st.session_state[SET], weights)


def _stop() -> None:
    """Cancel: what is done stays where it can."""
    job: Job | None = st.session_state.pop(JOB, None)
    if job is None:
        return
    done, total = job.done, job.total
    kept = _keep(job)
    st.session_state[NOTE] = f"Stopped after {done:,} of {total:,} images. " + (
        "The gallery has these." if kept else f"No answer of {title(job.weights)} was kept."
    )


def _keep(job: Job) -> bool:
    """Whether the set has the job's answers now."""
    kept = job.finish()
    if kept:
        st.session_state[OWN_TABLE] = job.own.table()
        st.session_state[OWN_VERSION] = f"{job.own.name}-{len(job.own.predictions)}"
        st.session_state.pop("errors-own-results", None)
    return kept


def _open() -> None:
    link.set_filter(link.Filter())
    link.other_set()
    link.put("set", link.OWN)
    link.put("weights", next(iter(st.session_state[SET].predictions)))
    link.put("view", "gallery")


def _leave() -> None:
    """Forget the set and what was uploaded: an uploader of a new key has lost its files."""
    _forget()
    st.session_state.pop(GIVEN, None)
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1
    if link.get("set") == link.OWN:
        link.put("set", None)
        link.other_set()


def _run() -> None:
    """Go through the images. Each step looks for a press on the button, and a run that was
    interrupted is gone on with.
    """
    job: Job = st.session_state[JOB]
    with st.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=f"Loading {plain(title(job.weights))} …")
        st.button("Cancel", icon=":material/stop:", key="errors-own-cancel", on_click=_stop)
    try:
        predictor = services.predictor(job.weights, False)
        while job.left:
            bar.progress(job.done / job.total, text=f"{job.done:,} of {job.total:,} images")
            with services.admission().admit(already_admitted=True):
                job.step(predictor)
    except AgeGenderError as error:
        st.session_state.pop(JOB, None)
        messages.cannot_start(error)
        return
    st.session_state.pop(JOB, None)
    if job.rows:
        _keep(job)
    else:
        _forget()
        st.session_state[PROBLEM] = f"None of the files is an image that can be read: give {HOW}"
    st.rerun()
