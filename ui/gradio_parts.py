"""What the Gradio front end is made of: components that hand pictures over unread, and answers as HTML that needs no file.

Gradio writes a ``.pyi`` beside every class that is derived from a component the usual way; ``_kind`` derives them without.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import io
import os
import shutil
import tempfile
import threading
from abc import ABCMeta
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

FOLDER = Path(tempfile.mkdtemp(prefix="agegender-"))
"""Where uploads lie while they are needed; only this user may read it, and it goes with the process."""
# Gradio reads these when it is imported, which is why that comes so late.
os.environ["GRADIO_TEMP_DIR"] = str(FOLDER)
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

import gradio as gr  # noqa: E402
from gradio.components.base import Component  # noqa: E402
from gradio.data_classes import ImageData  # noqa: E402

from agegender_core import endpoints, shared  # noqa: E402
from agegender_core.errors import AgeGenderError, InvalidImageError  # noqa: E402
from agegender_core.export import estimated  # noqa: E402
from agegender_core.schema import json_schema  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from agegender_core.attention import AttentionMaps
    from agegender_core.live import LiveAnalyser, LiveFrame
    from agegender_core.types import AgeEstimate, Analysis

ICON = Path(__file__).parent / "icon.svg"
DELETE = (60, 600)
"""Every so many seconds, what is older than so many is deleted from the folder."""
EXAMPLES = ("sample portrait", "sample on its side")
"""Names of the examples, which are never deleted."""
PREVIEW = 1024
"""Longest side of the picture that is shown, in pixels."""
CAMERA = gr.WebcamOptions(mirror=False, constraints={"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}})
COLUMNS = {
    "file": "Picture", "face": "Face", "age": "Age", "age_low": "From", "age_high": "To", "age_group": "Range", "gender": "Gender",
    "gender_probability": "Probability", "race": "Race", "error": "Error",
}  # fmt: skip
TEAL = gr.themes.Color(
    "#F1F7F7", "#E2EDED", "#C3DBDC", "#9CC4C7", "#6BA7AC", "#2F7D85", "#0B5D66", "#0C4951", "#0B3B42", "#0A2F35", "#072227", "teal"
)  # fmt: skip
FOOT = (
    "Uploads are kept in a private temporary folder of the computer that runs this, until they are replaced or the page is closed, ten "
    "minutes at most; camera pictures in memory alone. Nothing is logged or passed on."
)
EMPTY = '<p class="ag-quiet">Answers appear here.</p>'
LIVE_EMPTY = '<p class="ag-quiet">Nobody is seen yet.</p>'
LIVE_BUSY = '<p class="ag-quiet">Others are filming right now: your film is looked at as soon as a place is free.</p>'
API = {
    "predict": "All faces of one picture: box, age with interval and distribution, gender with probability. Pictures are JPEG, PNG, WebP, "
    "AVIF, HEIC, BMP, TIFF or GIF. The upload is deleted once it is answered.",
    "predict_batch": "The same for many pictures: a list in their order; a picture that cannot be read is an entry with its error.",
    "attention": "The masks of a gated residual attention network over one face (0 for the largest): mean and maximum over the channels of "
    "each block, with its gate.",
}
CSS = """
.ag-quiet { opacity: .75 } .ag-caution { color: #a33b06 } .dark .ag-caution { color: #ffc58a }
.ag-wrong { background: #f8e8e1; color: #86290f; padding: .8rem 1rem; border-radius: .6rem }
.dark .ag-wrong { background: #38211c; color: #f6bbaa }
.ag-number { padding: .15rem .6rem; border-radius: 1rem; font-weight: 600 }
.ag-age { display: flex; gap: .4rem; align-items: baseline } .ag-age b { font-size: 2.2rem }
.ag-card { border: 1px solid var(--border-color-primary); border-radius: .6rem; padding: .8rem 1rem; margin: .5rem 0 }
.ag-rows { display: grid; grid-template-columns: auto 1fr auto; gap: .3rem .8rem; align-items: center; margin-top: .5rem }
.ag-bar { height: .5rem; border-radius: .25rem; background: var(--border-color-primary); overflow: hidden }
.ag-bar i { display: block; height: 100%; background: #8fa0a0 } .ag-bar i.ag-chosen { background: #3c8c94 }
.ag-picture { max-width: 100%; border-radius: .4rem } .ag-masks { display: flex; flex-wrap: wrap; gap: 1rem }
.ag-masks figure { margin: 0; max-width: 20rem; flex: 1 1 14rem }
"""


@dataclass(frozen=True, eq=False)
class Given:
    """A picture as it came: its file's ``name`` and where it lies."""

    name: str
    path: Path | None
    content: bytes | None = None

    @property
    def data(self) -> bytes:
        """The file's bytes. Raises ``InvalidImageError`` where it is gone."""
        if self.content is not None:
            return self.content
        try:
            return self.path.read_bytes() if self.path is not None else b""
        except OSError as error:
            raise InvalidImageError("The upload was deleted after ten minutes: give the picture again.", "not_found") from error

    def forget(self) -> None:
        """Delete the file and the folder it lay in; examples stay."""
        if self.path is not None and FOLDER in self.path.parents and self.path.stem not in EXAMPLES:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Forget it afterwards."""
        with used([self]):
            yield


@contextlib.contextmanager
def used(given: Sequence[Given]) -> Iterator[None]:
    """Forget all of them afterwards."""
    try:
        yield
    finally:
        for one in given:
            one.forget()


def _kind(base: type, **methods: Any) -> Any:
    """A subclass of a component, made without writing a file beside this one."""
    return ABCMeta.__new__(type(base), base.__name__, (base,), {"is_template": True, "__module__": __name__, **methods})


async def _moved(component: Any, path: Any) -> Any:
    """Gradio's own way of a file into its folder, but an address elsewhere is refused instead of fetched."""
    if str(path).lower().startswith(("http:", "https:")):
        raise gr.Error("Upload the picture: this server fetches nothing from elsewhere.", print_exception=False)
    return await Component.async_move_resource_to_block_cache(component, path)


def photo(label: str) -> gr.Image:
    """An image whose functions get a ``Given``: the core opens the picture, not Gradio."""
    return Photo(label=label, type="filepath", sources=["upload", "clipboard"], buttons=["fullscreen"], height=360)


def film(label: str) -> gr.Image:
    """An image that shows one picture after the other; they travel inside the answers and are never a file."""
    return Film(label=label, interactive=False, buttons=["fullscreen"])


def files(label: str) -> gr.File:
    """Files whose functions get a list of ``Given``."""
    return Files(label=label, file_count="multiple", type="filepath", height=200)


def answer(label: str, kind: Any) -> gr.JSON:
    """JSON that documents its shape in the API's description."""
    schema = json_schema(kind)
    return _kind(gr.JSON, api_info=lambda self: schema)(label=label)


def _given(payload: Any) -> Given | None:
    if payload is None or not (payload.path or payload.url):
        return None
    if payload.url and payload.url.startswith("data:"):
        try:
            return Given("picture", None, base64.b64decode(payload.url.partition(",")[2], validate=True))
        except ValueError as error:
            raise gr.Error("The picture's data: address is damaged: it needs base64 after the comma.", print_exception=False) from error
    if not payload.path:
        raise gr.Error("Upload the picture: addresses are not fetched.", print_exception=False)
    return Given(payload.orig_name or Path(payload.path).name, Path(payload.path))


def _all_given(payload: Any) -> list[Given]:
    if payload is None:
        return []
    return [one for item in getattr(payload, "root", payload if isinstance(payload, list) else [payload]) if (one := _given(item))]


def _inside(picture: Any) -> ImageData | None:
    return None if picture is None else ImageData(url=coded(picture, "JPEG"))


Photo = _kind(gr.Image, preprocess=lambda self, payload: _given(payload), async_move_resource_to_block_cache=_moved)
Film = _kind(gr.Image, postprocess=lambda self, picture: _inside(picture))
Files = _kind(gr.File, preprocess=lambda self, payload: _all_given(payload), async_move_resource_to_block_cache=_moved)


def on_page(function: Callable, blanks: int) -> Callable:
    """``function`` for a tab: what is wrong stands where the answer would, and the ``blanks`` further outputs are empty."""

    @wraps(function)
    def told(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except AgeGenderError as error:
            return (f'<p class="ag-wrong" role="alert">{escape(str(error))}</p>', *[None] * blanks)

    return failing(told)


def failing(function: Callable) -> Callable:
    """``function`` with errors of ours as messages; others are logged by Gradio and told as «something went wrong»."""

    @wraps(function)
    def told(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except AgeGenderError as error:
            raise gr.Error(str(error), print_exception=False, duration=None) from error
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error("Something went wrong here. The log says what; your picture is not in it.") from error

    return told


def validate_one(image: Given | None, weights: str) -> list[dict]:
    """What is wrong with a picture or a network's name, before it waits."""
    return _told([image], _picture(image), _network(weights, endpoints.choices()))


def validate_face(image: Given | None, weights: str, face: float | None) -> list[dict]:
    """The same, and what is wrong with the face's number."""
    number = None if face is not None and face >= 0 else "faces count from 0 for the largest"
    return _told([image], _picture(image), _network(weights, endpoints.attention_choices()), number)


def validate_many(given: list[Given], weights: str) -> list[dict]:
    """Whether there are pictures, and not too many; each is looked at in its turn."""
    most = shared.settings().max_pictures
    number = None if 0 < len(given) <= most else f"give 1 to {most} pictures, not {len(given)}"
    return _told(given, number, _network(weights, endpoints.choices()))


def _told(given: Sequence[Given | None], *wrong: str | None) -> list[dict]:
    """A verdict for each argument; where one is bad the uploads are forgotten at once."""
    if any(wrong):
        _forget(given)
    return [gr.validate(message is None, message or "") for message in wrong]


def _picture(image: Given | None) -> str | None:
    if image is None:
        return "No picture was given: upload one first and hand over what the upload answered."
    try:
        endpoints.check(image.data)
    except AgeGenderError as error:
        return str(error)
    return None


def _network(weights: str | None, names: Sequence[str]) -> str | None:
    return None if weights is None or weights in names else f"{weights!r} is not on offer here: choose one of {', '.join(names)}"


def _forget(given: Sequence[Given | None]) -> None:
    for one in given:
        if one is not None:
            one.forget()


_held: dict[str, dict[str, list[Given]]] = {}
_holding = threading.Lock()


def hold(request: gr.Request, tab: str, given: Sequence[Given | None]) -> None:
    """A tab of a visitor's page now shows these uploads: those it showed before are forgotten."""
    new = [one for one in given if one is not None]
    with _holding:
        before = _held.setdefault(request.session_hash or "", {}).get(tab, [])
        _held[request.session_hash or ""][tab] = new
        kept = {one.path for tabs in _held.values() for there in tabs.values() for one in there}
    _forget([one for one in before if one.path not in kept])


def leave(request: gr.Request) -> None:
    """A visitor closed the page: all uploads of theirs are forgotten."""
    with _holding:
        tabs = _held.pop(request.session_hash or "", {})
        kept = {one.path for others in _held.values() for there in others.values() for one in there}
    _forget([one for there in tabs.values() for one in there if one.path not in kept])


def theme() -> gr.themes.Base:
    """Colours of the main app, fonts that are there: nothing is fetched."""
    fonts = ["Source Sans 3", "Source Sans Pro", "system-ui", "sans-serif"]
    return gr.themes.Soft(primary_hue=TEAL, neutral_hue="stone", font=fonts, font_mono=["ui-monospace", "monospace"]).set(
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700"
    )


def named(names: Sequence[str]) -> list[tuple[str, str]]:
    """Networks with their titles, for people to choose from."""
    titles = {entry.name: entry.title for entry in shared.installed_weights()}
    return [(titles.get(name, name), name) for name in names]


@cache
def examples() -> list[list[str]]:
    """The sample portrait, and it lying on its side."""
    from PIL import Image

    from agegender_core.data.sample import sample_portrait

    portrait = sample_portrait()
    paths = [FOLDER / f"{name}.jpg" for name in EXAMPLES]
    for path, picture in zip(paths, (portrait, portrait.transpose(Image.Transpose.ROTATE_90)), strict=True):
        picture.save(path, quality=92)
    return [[str(path)] for path in paths]


def heading() -> str:
    """Title, and where it is measured how far off the answers are."""
    models = "[Models](/models)" if "gradio" in shared.neighbours else "Models"
    return (
        "# Age and gender from faces\nEvery face gets an estimated age with how sure that is, and the gender annotators would have named. "
        f"Estimates, not facts: the main app's page {models} says how far off they are, and on whom."
    )


def consent(race: bool) -> str:
    """What is estimated from the camera, where, and what becomes of it; before the camera opens."""
    what = estimated(race)
    return (
        f"From your camera's film this estimates the {what} of each face in view, yours and everybody else's: ask them first. Frames go "
        "over the connection of this page to the computer that runs it, stay in its memory, one at a time, and are never stored. "
        "The camera opens when you press its record button, and closes when you press stop."
    )


def inline(picture: Any, words: str, kind: str = "JPEG") -> str:
    """The picture inside the answer itself."""
    return f'<img class="ag-picture" src="{coded(picture, kind)}" alt="{escape(words)}">'


def coded(picture: Any, kind: str) -> str:
    """The picture as a data: address."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def marked(analysis: Analysis, name: str) -> str:
    """The picture with its faces boxed and numbered."""
    from agegender_core.export import annotate

    picture = annotate(analysis)
    picture.thumbnail((PREVIEW, PREVIEW))
    count = len(analysis.predictions)
    return inline(picture, f"{name}, {count} face{'' if count == 1 else 's'} marked")


def cards(analysis: Analysis) -> str:
    """What is said of each face."""
    from ui import result_card

    if not analysis.predictions:
        return "<p><b>No face was found.</b> A face needs to be seen from the front or nearly so, and be 24 pixels wide at least.</p>"
    turned = f"<p>The picture was turned by {analysis.turned}° before a face was found.</p>" if analysis.turned else ""
    left = f"<p>{analysis.left_out} smaller faces were left out.</p>" if analysis.left_out else ""
    told = []
    for number, prediction in enumerate(analysis.predictions, 1):
        choices = "".join(result_card.choice(one) for one in (prediction.gender, prediction.race) if one is not None)
        inner = result_card.head(prediction.age, number) + choices + result_card.notes(prediction)
        told.append(f'<div class="ag-card">{inner}</div>')
    return turned + left + "".join(told)


def chart(age: AgeEstimate) -> go.Figure | None:
    """The distribution of one face's age, or of its ranges; None where the network has neither."""
    from ui.charts import age_chart, range_chart

    if age.ranges is None and age.probs is None:
        return None
    figure = range_chart(age.ranges) if age.ranges is not None else age_chart(age)
    figure.update_layout(colorway=["#3C8C94", "#8FA0A0", "#A33B06"], height=240)
    return figure


def table(answers: Sequence[tuple[str, Analysis | Exception]]) -> pd.DataFrame:
    """A row a face, a picture without one, or a failure."""
    import pandas as pd

    rows = _rows(answers)
    columns = [name for name in COLUMNS if name == "file" or any(row.get(name) is not None for row in rows)]
    found = pd.DataFrame([{COLUMNS[name]: _cell(row.get(name)) for name in columns} for row in rows])
    return found.astype(object)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return round(value, 2) if isinstance(value, float) else value


def table_links(answers: Sequence[tuple[str, Analysis | Exception]]) -> str:
    """Links that hold the whole table as CSV and as JSON."""
    import json

    from agegender_core.export import table_csv

    csv = table_csv(_rows(answers)).encode()
    documents = json.dumps([as_json(name, outcome) for name, outcome in answers], ensure_ascii=False).encode()
    links = [("faces.csv", "text/csv", csv), ("faces.json", "application/json", documents)]
    return " · ".join(
        f'<a download="{name}" href="data:{kind};base64,{base64.b64encode(data).decode()}">Download {name}</a>'
        for name, kind, data in links
    )


def batch_words(answers: Sequence[tuple[str, Analysis | Exception]]) -> str:
    """How many pictures, faces and failures."""
    failed = sum(isinstance(outcome, Exception) for _, outcome in answers)
    faces = sum(len(outcome.predictions) for _, outcome in answers if not isinstance(outcome, Exception))
    return f"<p><b>{len(answers)} pictures, {faces} faces, {failed} failed.</b></p>"


def masks(maps: AttentionMaps) -> str:
    """A picture for each block, with its gate in words."""
    from agegender_core.attention_command import block_picture

    figures = "".join(
        f"<figure>{inline(block_picture(maps.crop, block), f'Mean mask of {block.name} over the face', 'PNG')}"
        f"<figcaption>{escape(block.gate_words())}</figcaption></figure>"
        for block in maps.blocks
    )
    return f'<p>This network says {maps.age.years:.0f} years.</p><div class="ag-masks">{figures}</div>'


def live_analyser(weights: str) -> LiveAnalyser:
    """One film's analyser, its network loaded and warm."""
    from agegender_core.live import LiveAnalyser

    race = shared.settings().race
    analyser = LiveAnalyser(shared.predictor(weights, race), race)
    analyser.warm()
    return analyser


def live_words(frame: LiveFrame) -> str:
    """Who is in the frame, for those who cannot see it, and the pace."""
    from agegender_core.live.drawing import words

    told = "".join(f"<li>{escape(words(track))}</li>" for track in frame.tracks)
    return f'<ul>{told}</ul><p class="ag-quiet">{frame.fps:.0f} frames a second</p>' if told else LIVE_EMPTY


def as_json(name: str, outcome: Analysis | Exception) -> dict[str, Any]:
    """One picture's answer or error."""
    from agegender_core.export import analysis_json, error_json

    return error_json(name, outcome) if isinstance(outcome, Exception) else analysis_json(name, outcome)


def _rows(answers: Sequence[tuple[str, Analysis | Exception]]) -> list[dict[str, Any]]:
    from agegender_core.export import error_row, face_rows

    rows: list[dict[str, Any]] = []
    for name, outcome in answers:
        rows += [error_row(name, outcome)] if isinstance(outcome, Exception) else face_rows(name, outcome)
    return rows
