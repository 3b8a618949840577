"""What the Gradio front end is made of: components that pass images on undecoded, and answers as
HTML that needs no file. Imports Gradio: ``preparation.prepare`` comes first.

Components are derived by ``_kind``: the usual way, Gradio writes a ``.pyi`` beside this file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from agegender_core.errors import AgeGenderError, InvalidImageError
from agegender_core.output.counts import counted
from agegender_core.output.gender import gender_words
from agegender_core.output.tables import describe_attributes
from agegender_core.serving import runtime, service
from agegender_core.serving.api_schema import json_schema
from agegender_core.settings import ROOT
from ui.common.charts import with_en_dash
from ui.common.images import data_url, image_url
from ui.common.messages import SMALLEST_FACE
from ui.common.upload_limits import UploadLimits
from ui.compat import gradio_private
from ui.gradio import preparation
from ui.gradio.figures import age_curve
from ui.guard.uploads import UNKNOWN, Upload, UploadStore

if TYPE_CHECKING:
    import pandas as pd

    from agegender_core.explain.attention import AttentionMaps
    from agegender_core.types import AgeEstimate, Analysis
    from agegender_core.video import LiveAnalyser, LiveFrame
    from agegender_core.vision.image_io import ImageLimits

ICON = ROOT / "ui" / "icon.svg"
EXAMPLES = ("sample portrait", "sample on its side")
PREVIEW = 1024
"""Longest side of the image that is shown, in pixels."""
CAMERA = gr.WebcamOptions(
    mirror=False, constraints={"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
)
COLUMNS = {
    "file": "Image",
    "face": "Face",
    "age": "Age",
    "age_low": "From",
    "age_high": "To",
    "age_group": "Range",
    "gender": "Gender",
    "race": "Race",
    "error": "Note",
}
WIDTHS = {"Image": 180, "Face": 70, "Age": 80, "Gender": 150, "Note": 320}
"""Of the table's columns, in pixels; Gradio's own break «Face» in two."""
TEAL = gr.themes.Color(
    "#F1F7F7",
    "#E2EDED",
    "#C3DBDC",
    "#9CC4C7",
    "#6BA7AC",
    "#2F7D85",
    "#0B5D66",
    "#0C4951",
    "#0B3B42",
    "#0A2F35",
    "#072227",
    "teal",
)
FOOT = (
    "Uploads and camera images stay in the memory of the computer that runs this, never on its"
    " disk: uploads until they are replaced or the page is closed, ten minutes at most after they"
    " were last used. Nothing is logged or passed on."
)
EMPTY = '<p class="ag-quiet">Answers appear here.</p>'
LIVE_EMPTY = '<p class="ag-quiet">No face in sight yet.</p>'
LIVE_BUSY = (
    '<p class="ag-quiet">All video slots are in use: yours starts as soon as one is free.</p>'
)
API = {
    "predict": (
        "All faces of one image: box, age with interval and distribution, gender with probability."
        " Images are JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF. The upload is deleted once it"
        " is answered."
    ),
    "predict_batch": (
        "The same for many images: a list in their order; an image that cannot be read is an entry"
        " with its error."
    ),
    "attention": (
        "The masks of a gated residual attention network over one face (0 for the largest): mean"
        " and maximum over the channels of each block, what the mask changes, and its gate."
    ),
}
CSS = Path(__file__).with_name("style.css").read_text()
ON_LOAD = """() => {
  const name = () => document.querySelectorAll("button.gallery-item:not([aria-label])")
    .forEach((button, index) => button.setAttribute("aria-label", `Example ${index + 1}`));
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
  name();
  for (const [event, broken] of [["error", true], ["load", false]]) {
    document.addEventListener(event, ({target}) => {
      if (target.tagName === "IMG") target.classList.toggle("ag-broken", broken);
    }, true);
  }
}"""
"""Gradio's examples are images without a name: buttons that a screen reader cannot tell apart. And
what a browser cannot show, be it damaged or HEIC, is marked: the style has words for it.
"""


@cache
def uploads() -> UploadStore:
    """All uploads, in memory. Raises ``ConfigError``."""
    limits = UploadLimits.of(runtime.settings())
    return UploadStore(str(preparation.folder()), limits.total, limits.client)


@dataclass(frozen=True, eq=False)
class UploadedImage:
    """An image as it was uploaded: its file's ``name``, and the upload, None where it is gone."""

    name: str
    upload: Upload | None

    @property
    def data(self) -> bytes:
        """The file's bytes. Raises ``InvalidImageError`` where it is gone."""
        if self.upload is None:
            raise InvalidImageError(UNKNOWN, "not_found")
        return self.upload.content

    def forget(self) -> None:
        """Forget the upload; examples stay."""
        if self.upload is not None:
            uploads().drop(self.upload)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Forget it afterwards."""
        with used([self]):
            yield


@contextlib.contextmanager
def used(images: Sequence[UploadedImage]) -> Iterator[None]:
    """Forget all of them afterwards."""
    try:
        yield
    finally:
        for image in images:
            image.forget()


def _kind(base: type, **methods: Any) -> Any:
    return gradio_private.component_class(base, __name__, **methods)


def photo(label: str) -> gr.Image:
    """An image whose functions get an ``UploadedImage``: the core decodes it, not Gradio."""
    return Photo(
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        buttons=["fullscreen"],
        height=360,
    )


def camera(label: str) -> gr.Image:
    """A webcam whose functions get each frame as an ``UploadedImage``."""
    return Camera(
        sources=["webcam"], streaming=True, type="filepath", label=label, webcam_options=CAMERA
    )


def video(label: str) -> gr.Image:
    """Shows the frames of a video; they are part of the answers and never a file."""
    return VideoImage(label=label, interactive=False, buttons=["fullscreen"])


def files(label: str) -> gr.File:
    """Files whose functions get a list of ``UploadedImage``."""
    return Files(label=label, file_count="multiple", type="filepath", height=200)


def answer(label: str, kind: Any) -> gr.JSON:
    """JSON that documents its shape in the API's description."""
    schema = json_schema(kind)
    return _kind(gr.JSON, api_info=lambda self: schema)(label=label)


def _uploaded(payload: Any) -> UploadedImage | None:
    if payload is None or not payload.path:
        return None
    upload = uploads().find(payload.path)
    return UploadedImage(payload.orig_name or (upload.name if upload else "image"), upload)


def _all_uploaded(payload: Any) -> list[UploadedImage]:
    if payload is None:
        return []
    return [
        one
        for item in getattr(payload, "root", payload if isinstance(payload, list) else [payload])
        if (one := _uploaded(item))
    ]


def _inside(image: Any) -> Any:
    return None if image is None else gradio_private.image_value(coded(image, "JPEG"))


def _local(name: str) -> dict[str, Any]:
    """A file of the caller's, for the API page's own snippets: Gradio's would name an address, and
    this server fetches none.
    """
    return {"path": name, "orig_name": name, "meta": {"_type": "gradio.FileData"}}


# Paths name uploads in memory; nothing else comes as far as the components.
UNMOVED = gradio_private.files_unmoved()
Photo = _kind(
    gr.Image,
    preprocess=lambda self, payload: _uploaded(payload),
    **UNMOVED,
    example_payload=lambda self: _local("photo.jpg"),
    example_value=lambda self: "photo.jpg",
)
Camera = _kind(
    gr.Image,
    preprocess=lambda self, payload: _uploaded(payload),
    **UNMOVED,
)
VideoImage = _kind(gr.Image, postprocess=lambda self, image: _inside(image))
Files = _kind(
    gr.File,
    preprocess=lambda self, payload: _all_uploaded(payload),
    **UNMOVED,
    example_payload=lambda self: [_local("photo.jpg"), _local("another.jpg")],
    example_value=lambda self: ["photo.jpg", "another.jpg"],
)


def hidden() -> dict[str, Any]:
    """For a table without rows: Gradio would show columns called 1, 2 and 3."""
    return gr.update(visible=False)


def on_page(function: Callable, *blanks: Any) -> Callable:
    """``function`` for a tab: what is wrong stands where the answer would, and the further outputs
    are ``blanks``; a callable among them is called.
    """

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AgeGenderError as error:
            return (
                f'<p class="ag-wrong" role="alert">{escape(str(error))}</p>',
                *(blank() if callable(blank) else blank for blank in blanks),
            )

    return failing(guarded)


def failing(function: Callable) -> Callable:
    """``function`` with errors of ours as messages; others are logged by Gradio and reported as
    «something went wrong».
    """

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            with runtime.admission().covered():
                return function(*args, **kwargs)
        except AgeGenderError as error:
            raise gr.Error(str(error), print_exception=False, duration=None) from error
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(
                "Something went wrong here. The log says what; your image is not in it."
            ) from error

    return guarded


def validate_one(image: Upload | None, weights: str | None) -> list[dict]:
    """What is wrong with an image or a model's name, before the call waits."""
    return _verdicts(_image_problem(image), _weights_problem(weights, service.choices()))


def validate_face(image: Upload | None, weights: str | None, face: float | None) -> list[dict]:
    """The same, and what is wrong with the face's number."""
    number = None if face is not None and face >= 0 else "faces count from 0 for the largest"
    return _verdicts(
        _image_problem(image), _weights_problem(weights, service.attention_choices()), number
    )


def validate_many(images: list[Upload] | None, weights: str | None) -> list[dict]:
    """Whether there are images, and not too many; each is checked when it is analysed."""
    most = runtime.settings().max_pictures
    number = (
        None
        if images and len(images) <= most
        else f"give 1 to {most} images, not {len(images or ())}"
    )
    return _verdicts(number, _weights_problem(weights, service.choices()))


CHECKS: dict[str, Callable[..., list[dict]]] = {
    "predict": validate_one,
    "predict_batch": validate_many,
    "attention": validate_face,
}
"""By an endpoint's name, the check of its arguments before the call waits."""


def _verdicts(*wrong: str | None) -> list[dict]:
    """A verdict for each argument."""
    return [gr.validate(message is None, message or "") for message in wrong]


def _image_problem(image: Upload | None) -> str | None:
    if image is None:
        return "No image was given: upload one first and hand over what the upload answered."
    from agegender_core.vision.image_io import check_image

    try:  # in a thread of the decoding pool already
        check_image(image.content, limits=runtime.settings().image_limits)
    except AgeGenderError as error:
        return str(error)
    return None


def _weights_problem(weights: str | None, names: Sequence[str]) -> str | None:
    return (
        None
        if weights is None or weights in names
        else f"{weights!r} is not on offer here: choose one of {', '.join(names)}"
    )


_shown: dict[str, dict[str, list[str]]] = {}
"""By session and tab, paths of the uploads it shows. The uploads themselves are in the store."""
_shown_lock = threading.Lock()


def show_uploads(request: gr.Request, tab: str, images: Sequence[UploadedImage | None]) -> None:
    """A tab of a visitor's page now shows these uploads: those it showed before are forgotten."""
    new = [one.upload.path for one in images if one is not None and one.upload is not None]
    with _shown_lock:
        before = _shown.setdefault(request.session_hash or "", {}).get(tab, [])
        _shown[request.session_hash or ""][tab] = new
    _let_go(before)


def page_closed(request: gr.Request) -> None:
    """A visitor closed the page: all uploads of theirs are forgotten."""
    session_ended(request.session_hash or "")


def session_ended(session: str) -> None:
    """A session is over: all uploads of its are forgotten."""
    with _shown_lock:
        tabs = _shown.pop(session, {})
    _let_go([path for there in tabs.values() for path in there])


def _let_go(paths: Sequence[str]) -> None:
    """Forget uploads no tab shows any more."""
    with _shown_lock:
        shown = {path for tabs in _shown.values() for there in tabs.values() for path in there}
    for path in paths:
        if path not in shown:
            uploads().forget(path)


def theme() -> gr.themes.Base:
    """Colours of the main app, fonts that are there: nothing is fetched."""
    fonts = ["Source Sans 3", "Source Sans Pro", "system-ui", "sans-serif"]
    return gr.themes.Soft(
        primary_hue=TEAL, neutral_hue="stone", font=fonts, font_mono=["ui-monospace", "monospace"]
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        body_background_fill="#FBFAF7",
        body_background_fill_dark="#10181B",
        background_fill_primary="#FFFFFF",
        background_fill_primary_dark="#10181B",
        background_fill_secondary="#F1EEE7",
        background_fill_secondary_dark="#1A262A",
        block_background_fill="#FFFFFF",
        block_background_fill_dark="#1A262A",
        block_border_width="1px",
        block_border_width_dark="1px",
        block_border_color="#DBD6CA",
        block_border_color_dark="#2E3D42",
        block_shadow="none",
        block_shadow_dark="none",
        input_background_fill_dark="#10181B",
        button_secondary_background_fill="#F1EEE7",
        button_secondary_background_fill_dark="#2E3D42",
        link_text_color="#0B5D66",
        link_text_color_dark="#8ADAD7",
        body_text_color="#1D2B2E",
        body_text_color_dark="#E7ECEA",
        body_text_color_subdued="#59656A",
        body_text_color_subdued_dark="#A3B0B2",
        block_label_text_color="#0C4951",
        block_title_text_color="#0C4951",
    )


def named(names: Sequence[str]) -> list[tuple[str, str]]:
    """Networks with their titles, for people to choose from."""
    titles = {info.name: info.title for info in runtime.installed_weights()}
    return [(titles.get(name, name), name) for name in names]


@cache
def examples() -> list[list[str]]:
    """The sample portrait, and it lying on its side."""
    from PIL import Image

    from agegender_core.datasets.sample_image import sample_file

    paths = [preparation.folder() / f"{name}.png" for name in EXAMPLES]
    for path, turn in zip(paths, (None, Image.Transpose.ROTATE_90), strict=True):
        path.write_bytes(sample_file(turn))
        uploads().fix(str(path), path.name, path.read_bytes())
    return [[str(path)] for path in paths]


def heading() -> str:
    """Title, and where it is measured how far off the answers are."""
    models = "[Models](../models)" if "gradio" in runtime.mounted_apps else "Models"
    return (
        "# Age and gender from faces\nSee how old each face looks, how certain that is, and which"
        f" gender people would likely name. Estimates, not facts: the main app's page {models} says"
        " how far off they are, and on whom."
    )


def consent(race: bool) -> str:
    """What is estimated from the camera, where, and what becomes of it; before the camera opens."""
    what = describe_attributes(race)
    return (
        f"From your camera's video this estimates the {what} of each face in view. Ask anyone who"
        " may appear on camera. Frames go over the connection of this page to the computer that"
        " runs it, stay in its memory, one at a time, and are never stored. The camera opens when"
        " you press its record button, and closes when you press stop."
    )


def inline(image: Any, words: str, kind: str = "JPEG") -> str:
    """The image inside the answer itself."""
    return f'<img class="ag-picture" src="{coded(image, kind)}" alt="{escape(words)}">'


def coded(image: Any, kind: str) -> str:
    """The image as a data: address."""
    return image_url(image, kind, **({"quality": 88} if kind == "JPEG" else {}))


def marked(analysis: Analysis, name: str) -> str:
    """The image with its faces boxed and numbered."""
    from agegender_core.output.drawing import annotate

    image = annotate(analysis)
    image.thumbnail((PREVIEW, PREVIEW))
    count = len(analysis.predictions)
    return inline(image, f"{name}, {count} face{'' if count == 1 else 's'} marked")


def cards(analysis: Analysis) -> str:
    """A card for each face, with its own curve."""
    from ui.common import result_card

    if not analysis.predictions:
        return (
            "<p><b>No face was found.</b> A face needs to be seen from the front or nearly so, and"
            f" be {SMALLEST_FACE}.</p>"
        )
    turned = f"<p>{result_card.turned_words(analysis.turned)}</p>" if analysis.turned else ""
    left_out = (
        f"<p>{result_card.left_out_words(analysis.left_out)}.</p>" if analysis.left_out else ""
    )
    drawn = []
    for number, prediction in enumerate(analysis.predictions, 1):
        choices = "".join(
            result_card.choice(one)
            for one in (prediction.gender, prediction.race)
            if one is not None
        )
        curve = ranges(prediction.age) or age_curve(prediction.age)
        inner = (
            result_card.head(prediction.age, number)
            + curve
            + choices
            + result_card.notes(prediction)
        )
        drawn.append(f'<div class="ag-card">{inner}</div>')
    return turned + left_out + "".join(drawn)


def ranges(age: AgeEstimate) -> str:
    """A bar for each age range, where the model answers with ranges; else empty."""
    from ui.common import result_card

    return "" if age.ranges is None else result_card.choice(age.ranges)


def table(answers: Sequence[tuple[str, Analysis | Exception]]) -> pd.DataFrame:
    """A row a face, an image without one, or a failure."""
    import pandas as pd

    rows = [row | _for_people(row) for row in _rows(answers)]
    if any(
        prediction.age.ranges is not None
        for _, outcome in answers
        if not isinstance(outcome, Exception)
        for prediction in outcome.predictions
    ):  # no year is known, only a range
        rows = [row | {"age": None} for row in rows]
    columns = [
        name for name in COLUMNS if name == "file" or any(row.get(name) is not None for row in rows)
    ]
    found = pd.DataFrame(
        [{COLUMNS[name]: _cell(row.get(name)) for name in columns} for row in rows]
    )
    return found.astype(object)


def shown(table: pd.DataFrame) -> dict[str, Any]:
    """The table on the page, its columns wide enough for their headings."""
    return gr.update(
        value=table, visible=True, column_widths=[WIDTHS.get(name, 90) for name in table.columns]
    )


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """What of a row is written otherwise than in a download."""
    found = row["face"] is not None
    return {
        "age_group": None if row["age_group"] is None else with_en_dash(row["age_group"]),
        "gender": gender_words(row["gender"], row["gender_probability"]) or None,
        "error": row["error"] if found or row["error"] else "No face found.",
    }


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return round(value, 2) if isinstance(value, float) else value


def table_links(answers: Sequence[tuple[str, Analysis | Exception]]) -> str:
    """Links that contain the whole table as CSV and as JSON."""
    import json

    from agegender_core.output.tables import table_csv

    csv = table_csv(_rows(answers)).encode()
    documents = json.dumps(
        [as_json(name, outcome) for name, outcome in answers], ensure_ascii=False
    ).encode()
    links = [("faces.csv", "text/csv", csv), ("faces.json", "application/json", documents)]
    return " · ".join(
        f'<a download="{name}" href="{data_url(data, mime)}">Download {name}</a>'
        for name, mime, data in links
    )


def batch_words(answers: Sequence[tuple[str, Analysis | Exception]]) -> str:
    """How many images, faces and failures."""
    failed = sum(isinstance(outcome, Exception) for _, outcome in answers)
    faces = sum(
        len(outcome.predictions) for _, outcome in answers if not isinstance(outcome, Exception)
    )
    images = counted(len(answers), "image")
    return f"<p><b>{images}, {counted(faces, 'face')}, {failed} failed.</b></p>"


def masks(maps: AttentionMaps) -> str:
    """An image for each block, with its gate in words."""
    from agegender_core.explain.attention_images import block_image, block_title

    figures = ""
    for block in maps.blocks:
        title = block_title(block.name)
        overlay = block_image(maps.crop, block, effect=True)
        figures += (
            f"<figure>{inline(overlay, f'Effect of the mask of {title} over the face', 'PNG')}"
            f"<figcaption><b>{escape(title)}</b> {escape(block.gate_words())}</figcaption></figure>"
        )
    head = (
        f"<p>Estimated age: {maps.age.years:.0f} years. Bright: where the mask makes the most"
        " difference.</p>"
    )
    return f'{head}<div class="ag-masks">{figures}</div>'


def frame_limits() -> ImageLimits:
    """Larger images are no frames of the page's camera."""
    from agegender_core.vision.image_io import ImageLimits

    return ImageLimits(max_bytes=3 * 2**20, max_pixels=1920 * 1080)


def live_analyser(weights: str) -> LiveAnalyser:
    """One video's analyser, its network loaded and warm."""
    from agegender_core.video import LiveAnalyser

    race = runtime.settings().race
    analyser = LiveAnalyser(runtime.predictor(weights, race), race)
    analyser.warm()
    return analyser


def live_words(frame: LiveFrame) -> str:
    """Who is in the frame, for those who cannot see it, and the pace."""
    from agegender_core.video.overlay import words

    lines = "".join(f"<li>{escape(words(track))}</li>" for track in frame.tracks)
    return f'<ul>{lines}</ul><p class="ag-quiet">{frame.fps:.0f} fps</p>' if lines else LIVE_EMPTY


def as_json(name: str, outcome: Analysis | Exception) -> dict[str, Any]:
    """One image's answer or error."""
    from agegender_core.output.tables import analysis_json, error_json

    return (
        error_json(name, outcome)
        if isinstance(outcome, Exception)
        else analysis_json(name, outcome)
    )


def _rows(
    answers: Sequence[tuple[str, Analysis | Exception]],
) -> list[dict[str, Any]]:
    from agegender_core.output.tables import error_row, face_rows

    rows: list[dict[str, Any]] = []
    for name, outcome in answers:
        rows += (
            [error_row(name, outcome)]
            if isinstance(outcome, Exception)
            else face_rows(name, outcome)
        )
    return rows
