"""«Your own dataset»: labelled images of the visitor, answered by a model, with a progress bar and
a way to stop. Nothing touches the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from agegender_core.analysis.user_set import Job, UserDataset
from agegender_core.analysis.user_upload import HOW, MAX_IMAGES, read_user_dataset
from agegender_core.errors import AgeGenderError, DatasetError
from agegender_core.output.csv_tables import safe_frame
from ui.common import gated, messages, services, uploads
from ui.common.messages import plain
from ui.common.state import count_up
from ui.errors import images, state
from ui.errors import query_params as link
from ui.errors.data import title

SHOWN = 500
"""Bad rows that are sent to the browser."""


@dataclass(frozen=True)
class UploadedImages:
    """The uploads behind a visitor's own dataset."""

    own: UserDataset
    missing: str = ""

    @property
    def name(self) -> str:
        """That of the dataset: images of a removed one are not confused with those of the next."""
        return self.own.name

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """From memory."""
        return {file: self.own.contents[file] for file in files if file in self.own.contents}

    def row(self, file: str) -> int | None:
        """The explorer knows no uploads."""
        return None


def image_source() -> UploadedImages:
    """Images of the dataset in the session."""
    return UploadedImages(state.OWN_SET.get())


def show() -> None:
    """Upload, check, run."""
    st.markdown(
        f"Upload up to {MAX_IMAGES:,} labelled images as a zip or a folder,"
        f" {st.get_option('server.maxUploadSize')} MB a file and {uploads.limits().session_mb} MB"
        f" in all: {plain(HOW)}. They are read in memory, answered by the model you choose, and"
        " removed when you close the page; nothing is written to disk."
    )
    turn = state.OWN_TURN.get()
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
    uploads.mark_in_use(files)
    uploads.render_refusal()
    # A run replaces what was here, instead of standing above its pale remains.
    with st.empty().container():
        if state.OWN_JOB.get() is not None:
            _run()
        else:
            _take(files or [])
            _current()


def _current() -> None:
    """The dataset's state, and what can be done with it."""
    if problem := state.OWN_PROBLEM.get():
        st.error(
            plain(problem), title="This dataset cannot be used", icon=":material/broken_image:"
        )
    if note := state.OWN_NOTE.pop():
        st.info(plain(note), icon=":material/stop:")
    own = state.OWN_SET.get()
    if own is not None:
        _checked(own)


def _take(files: Sequence[object]) -> None:
    """Read what was uploaded, once. An empty uploader leaves the dataset as it is: its images are
    in the session.
    """
    ids = tuple(file.file_id for file in files)
    if not ids or ids == state.OWN_FILES.get():
        return
    state.OWN_FILES.set(ids)
    _forget()
    try:
        with st.spinner("Checking …"):
            state.OWN_SET.set(read_user_dataset((file.name, file.getvalue()) for file in files))
    except DatasetError as error:
        state.OWN_PROBLEM.set(str(error))


def _forget() -> None:
    if state.OWN_SET.is_set():
        images.forget(image_source())
    state.forget_own_dataset()


def _checked(own: UserDataset) -> None:
    st.markdown(
        f"**{len(own.records):,}** labelled images can be used; notes on rows and files:"
        f" {len(own.bad):,}."
    )
    if own.bad:
        with st.expander(f"Left out or incomplete: {len(own.bad):,}", icon=":material/rule:"):
            st.dataframe(
                safe_frame(pd.DataFrame(own.bad[:SHOWN], columns=["file", "what is wrong"])),
                hide_index=True,
                width="stretch",
                key="errors-own-bad",
            )
    try:
        names = [info.name for info in services.installed_weights()]
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
    state.OWN_JOB.set(Job(state.OWN_SET.get(), weights))


def _stop() -> None:
    """Cancel: what is done stays where it can."""
    job = state.OWN_JOB.pop()
    if job is None:
        return
    done, total = job.done, job.total
    saved = _save_answers(job)
    outcome = "The gallery has these." if saved else f"No answer of {title(job.weights)} was saved."
    state.OWN_NOTE.set(f"Stopped after {done:,} of {total:,} images. {outcome}")


def _save_answers(job: Job) -> bool:
    """Add the job's answers to the dataset; whether there were any."""
    saved = job.finish()
    if saved:
        state.OWN_TABLE.set(job.own.table())
        state.OWN_VERSION.set(f"{job.own.name}-{len(job.own.predictions)}")
        state.OWN_RESULTS.clear()
    return saved


def _open() -> None:
    link.set_filter(link.Filter())
    link.other_set()
    link.put("set", link.OWN)
    link.put("weights", next(iter(state.OWN_SET.get().predictions)))
    link.put("view", "gallery")


def _leave() -> None:
    """Forget the dataset and the uploads: an uploader of a new key has lost its files."""
    _forget()
    state.OWN_FILES.clear()
    count_up(state.OWN_TURN)
    if link.get("set") == link.OWN:
        link.put("set", None)
        link.other_set()


def _show_progress(bar: Any, job: Job) -> None:
    bar.progress(job.done / job.total, text=f"{job.done:,} of {job.total:,} images")


def _run() -> None:
    """Go through the images. A click on the button ends it between two steps, and an interrupted
    run resumes.
    """
    job = state.OWN_JOB.get()
    with st.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=f"Loading {plain(title(job.weights))} …")
        st.button("Cancel", icon=":material/stop:", key="errors-own-cancel", on_click=_stop)
    try:
        predictor = services.predictor(job.weights, False)
        while job.left:
            _show_progress(bar, job)
            # A click on Cancel ends a wait, too.
            with gated.slot(lambda before: _show_progress(bar, job), already_admitted=True):
                job.step(predictor)
    except AgeGenderError as error:
        state.OWN_JOB.clear()
        messages.cannot_start(error)
        return
    state.OWN_JOB.clear()
    if job.rows:
        _save_answers(job)
    else:
        _forget()
        state.OWN_PROBLEM.set(f"None of the files is an image that can be read: give {HOW}")
    st.rerun()
