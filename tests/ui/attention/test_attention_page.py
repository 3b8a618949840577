"""The Attention page from a visitor's side, with small networks nobody trained: every view, every
control, and what must not run again.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.datasets import read_row
from agegender_core.datasets.crop_cache import chip_face
from agegender_core.explain import patch_search
from agegender_core.explain.attention import AttentionNetwork
from agegender_core.inference.model_zoo import ModelInfo, write_manifest
from agegender_core.types import AgeEstimate, Categorical, Face
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import MTCNNDetector
from tests.support.attention_networks import HEADS, write_attention
from tests.support.networks import write_network
from tests.support.pages import APP, alerts, html, png, upload
from ui.attention import faithfulness, figures, interventions, layers, query_params, session
from ui.attention.export import npz
from ui.attention.export import png as view_png
from ui.attention.session import Subject
from ui.attention.test_set import areas
from ui.common import services

PAGE = "pages/attention.py"


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelInfo]:
    return write_attention(tmp_path_factory.mktemp("attention"))


@pytest.fixture(scope="module")
def found() -> dict[bytes, list[Face]]:
    """Faces by the pixels they were found in: the detector is real, but sees each image of these
    tests once.
    """
    return {}


@pytest.fixture
def installed(
    networks: dict[str, ModelInfo],
    found: dict[bytes, list[Face]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[dict[str, ModelInfo]]:
    """The real services with these networks, and no reports."""
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(networks["gated"].folder))
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    detect = MTCNNDetector.detect

    def detected(self: MTCNNDetector, image: Image.Image) -> list[Face]:
        pixels = image.tobytes()
        if pixels not in found:
            found[pixels] = detect(self, image)
        return found[pixels]

    monkeypatch.setattr(MTCNNDetector, "detect", detected)
    services.predictor.clear()
    yield networks
    services.predictor.clear()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What was looked for and looked at: sizes of images searched for faces, and weights whose
    masks were made.
    """
    seen: dict[str, list[Any]] = {"detect": [], "look": [], "answer": []}
    detect, explain, answer = (
        MTCNNDetector.detect,
        AttentionNetwork.explain,
        AttentionNetwork.answer,
    )

    def detected(self: MTCNNDetector, image: Image.Image) -> list[Face]:
        if min(image.size) > 64:  # the smaller one is the warm-up's
            seen["detect"].append(image.size)
        return detect(self, image)

    def looked(self: AttentionNetwork, *given: Any) -> Any:
        seen["look"].append(self.info.name)
        return explain(self, *given)

    def answered(
        self: AttentionNetwork, crop: Any, changes: Any, seed: int = 0, own: Any = None
    ) -> Any:
        seen["answer"].append((dict(changes), seed))
        return answer(self, crop, changes, seed, own)

    monkeypatch.setattr(MTCNNDetector, "detect", detected)
    monkeypatch.setattr(AttentionNetwork, "explain", looked)
    monkeypatch.setattr(AttentionNetwork, "answer", answered)
    return seen


def opened(**params: str) -> AppTest:
    """The page at an address, run once."""
    app = AppTest.from_file(str(APP), default_timeout=120).switch_page(PAGE)
    for name, value in params.items():
        app.query_params[name] = value
    return checked(app.run())


def sample(**params: str) -> AppTest:
    """The bundled portrait, by default at the viewer behind «Where it looks»."""
    return opened(picture="sample", **({"tab": "look", "details": "1"} | params))


def checked(app: AppTest) -> AppTest:
    assert not app.exception and not app.error
    return app


def pick(app: AppTest, name: str, value: Any) -> AppTest:
    """Choose ``value`` on the segmented control with that key."""
    return checked(app.button_group(key=name).set_value(value).run())


def press(app: AppTest, name: str) -> AppTest:
    return checked(app.button(key=name).click().run())


def plots(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def heatmap(app: AppTest) -> dict[str, Any]:
    (found,) = [
        trace for plot in plots(app) for trace in plot["data"] if trace["type"] == "heatmap"
    ]
    return found


def cells(trace: dict[str, Any]) -> int:
    """Cells of a heatmap along one side."""
    return len(trace["text"])


def ages(app: AppTest) -> list[float]:
    """Years before and after a change."""
    (pair,) = [item.value for item in app.html if '"ag-pair"' in item.value]
    return [float(years) for years in re.findall(r"<b>([\d.]+)</b><span>years", pair)]


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value[0] if isinstance(value, list) else value
        for name, value in app.query_params.items()
    }


def subject(info: ModelInfo, portrait: Image.Image) -> Subject:
    """The portrait's face and a network, without a page around them."""
    from ui.common.session_results import Answer, InputImage

    predictor: Any = services.predictor(info.name, False)
    buffer = io.BytesIO()
    portrait.save(buffer, "PNG")
    analysis = predictor.run(buffer.getvalue())
    picture = InputImage("portrait.png", buffer.getvalue())
    return Subject(
        info,
        predictor,
        Answer(picture, analysis.predictions, info.name, analysis.timing, 0, {}, [], b""),
        0,
    )


def test_the_page_opens_with_the_sample_to_cover(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    app = opened()
    assert "Click the face, or drag over it: the age follows." in html(app) and work["detect"] == [
        (512, 512)
    ]
    assert app.session_state["attention-tabs"] == "Cover the face" and "attention-go-on" not in {
        button.key for button in app.button
    }
    assert "Not measured yet" in markdown(app) and not app.get("plotly_chart")


def test_covering_the_face_moves_the_answer(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    whole = sample(tab="cover", details="0")
    assert work["answer"] == [] and "cover" not in address(whole)
    assert not whole.get("download_button"), "nothing to share yet"
    years = set()
    for word in ("0.0.12.32", "10.10.12.32"):
        app = sample(tab="cover", details="0", cover=word)
        assert "14 % of the face covered:" in html(app) and address(app)["cover"] == word
        years.add(attention_answers(app))
        assert [button.proto.label for button in app.get("download_button")] == ["Share"]
    assert len(years) == 2
    app.session_state["attention_cover"] = None
    assert "Click the face" in html(checked(app.run()))


def test_the_patch_that_moves_the_age_most_is_found(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sample(tab="cover", details="0")
    searched = []
    search = patch_search.patch_effects
    monkeypatch.setattr(
        patch_search, "patch_effects", lambda *given: searched.append(given[3]) or search(*given)
    )
    press(app, "attention-find-older")
    left, top, side, _ = map(int, address(app)["cover"].split("."))
    said = re.search(
        r"([+−]\d+\.\d) years: the patch that makes this face look oldest of 49 places tried",
        html(app),
    )
    assert said and float(said[1].replace("−", "-")) == pytest.approx(
        attention_answers(app) - whole_years(app), abs=0.1
    )
    assert side == 8 and 0 <= left <= 24 and 0 <= top <= 24
    press(app, "attention-find-younger")
    # every place ages this face by this model: the patch stays where it is
    assert (
        "none of them makes this face look younger" in html(app)
        and address(app)["cover"] == f"{left}.{top}.{side}.32"
    )
    assert searched == [8], "one search for both, kept"


def whole_years(app: AppTest) -> float:
    (answer,) = app.session_state["answers"].values()
    return answer.predictions[0].age.years


def markdown(app: AppTest) -> str:
    return "\n".join(item.value for item in app.markdown).replace("\\", "")


def test_the_switch_flattens_every_mask(
    installed: dict[str, ModelInfo], tmp_path: Path, work: dict[str, list]
) -> None:
    write_averages(tmp_path / "reports", installed["gated"])
    app = sample(tab="cover", details="0")
    assert (
        "**Flatten every mask and this model's error grows by 0.40 years: where it looks matters.**"
        in markdown(app)
    )
    assert "40 faces of UTKFace, test, 95 % interval +0.30 to +0.50 years." in markdown(app)
    checked(app.toggle(key="attention-flatten").set_value(True).run())
    assert "with every mask flattened" in html(app) and "Masks changed:" in html(app)
    assert work["answer"] == [({f"attention{number}": "mean" for number in (1, 2, 3)}, 0)]
    app.session_state["attention-tabs"] = query_params.TABS["matter"]
    checked(app.run())
    assert all(
        app.button_group(key=f"attention-change-attention{number}").value == "mean"
        for number in (1, 2, 3)
    )
    press(app, "attention-all-own")
    assert not app.toggle(
        key="attention-flatten"
    ).value and "with every mask flattened" not in html(app)


def test_masks_of_all_blocks_stand_side_by_side_first(installed: dict[str, ModelInfo]) -> None:
    app = opened(picture="sample", tab="look")
    (row,) = [item.value for item in app.html if "ag-maps ag-overview" in item.value]
    assert [f"<b>Block {number}</b>" in row for number in (1, 2, 3)] == [True] * 3 and row.count(
        "data:image/jpeg"
    ) == 3
    assert not app.get("plotly_chart") and "attention-next" not in {
        button.key for button in app.button
    }
    rows = [
        item.value for item in sample(weights="trio").html if "ag-maps ag-overview" in item.value
    ]
    assert len(rows) == 3 and all(row.count("<figure>") == 3 for row in rows)


def test_old_links_to_the_viewer_still_open_it(installed: dict[str, ModelInfo]) -> None:
    app = opened(picture="sample", block="attention2")
    assert cells(heatmap(app)) == 8 and "<b>Block 2</b>" in html(app)


def test_every_block_says_what_it_is(installed: dict[str, ModelInfo]) -> None:
    app = sample()
    for number, (side, pixels) in enumerate(((16, 2), (8, 4), (4, 8)), start=1):
        pick(app, "attention_block", f"attention{number}")
        text = html(app)
        assert (
            f"<b>Block {number}</b>, effect, mean over" in text
            and f"{side} × {side} cells: each covers {pixels} × {pixels} pixels" in text
        )
        assert (
            "Gate 0.30: the mask can suppress features by up to 70 %." in text
            and "<b>Trunk</b>" in text
            and "<b>Output</b>" in text
        )
        trace = heatmap(app)
        assert (
            cells(trace) == side
            and trace["dx"] == pixels
            and trace["zsmooth"] is False
            and "%{z:.3f}" in trace["hovertemplate"]
        )
    assert "No gate" in html(checked(app.selectbox(key="attention_weights").select("open").run()))


def test_all_nine_blocks_of_a_trio(installed: dict[str, ModelInfo]) -> None:
    app = sample(weights="trio", block="digit.attention2")
    options = [option.content for option in app.button_group(key="attention_block").proto.options]
    assert len(
        [option for option in options if "block" in option]
    ) == 9 and "<b>Digit, block 2</b>" in html(app)
    app = sample(weights="trio", tab="matter")
    pick(app, "attention-change-digit.attention3", "off")
    assert "one number and no distribution" in "\n".join(line.value for line in app.caption)


def test_no_control_detects_or_looks_again(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    app = sample()
    for name, value in (
        ("attention_block", "attention2"),
        ("attention_view", "max"),
        ("attention_view", "channel"),
        ("attention_colours", "cividis"),
        ("attention_cells", "smooth"),
        ("attention_scale", "full"),
        ("attention_under", "crop"),
    ):
        pick(app, name, value)
    checked(app.slider(key="attention_opacity").set_value(20).run())
    trace = heatmap(app)
    assert (
        trace["opacity"] == 0.2
        and trace["zsmooth"] == "best"
        and (trace["zmin"], trace["zmax"]) == (0, 1)
    )
    press(app, "attention-next")
    for tab in query_params.TABS.values():
        app.session_state["attention-tabs"] = tab
        checked(app.run())
    assert work["detect"] == [(512, 512)] and work["look"] == ["gated"] and work["answer"] == []
    checked(app.selectbox(key="attention_weights").select("open").run())
    assert work["detect"] == [(512, 512)]


def test_keys_and_buttons_step_through_the_blocks(installed: dict[str, ModelInfo]) -> None:
    app = sample()
    assert [
        app.button(key=f"attention-{way}").proto.shortcut.lower() for way in ("back", "next")
    ] == ["p", "n"]
    stops = []
    for way in ("next", "next", "next", "back"):
        press(app, f"attention-{way}")
        stops.append(app.session_state["attention_block"])
    assert stops == ["attention2", "attention3", "attention1", "attention3"]


def test_playing_goes_round_and_stops(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("ui.attention.viewer.monotonic", lambda: now[0])
    app = press(sample(), "attention-play-button")
    assert app.button(key="attention-play-button").label == "Pause"
    stops = []
    for _ in range(4):
        now[0] += 2
        stops.append(checked(app.run()).session_state["attention_block"])
    assert stops == ["attention2", "attention3", "attention1", "attention2"]
    pick(app, "attention_colours", "magma")
    # A control in between does not push the video on.
    assert app.session_state["attention_block"] == "attention2"
    for _ in range(10):
        now[0] += 2
        checked(app.run())
    assert (
        app.button(key="attention-play-button").label == "Play"
        and app.session_state["attention-play"] is None
    )


def test_channels_are_chosen_from_small_pictures(installed: dict[str, ModelInfo]) -> None:
    app = pick(sample(), "attention_view", "channel")
    buttons = [button for button in app.button if button.key.startswith("attention-channel-")]
    assert len(buttons) == 16 and all(
        "data:image/png;base64," in button.label for button in buttons
    )
    # The one that varies most.
    assert f"channel {buttons[0].key.rpartition('-')[2]} of 16" in html(app)
    press(app, buttons[3].key)
    number = buttons[3].key.rpartition("-")[2]
    assert f"channel {number} of 16" in html(app) and address(app)["channel"] == number
    pick(app, "attention_block", "attention3")
    assert len(app.pagination) == 1
    first = {button.key for button in app.button if "channel" in button.key}
    checked(app.pagination[0].select(2).run())
    assert not first & {button.key for button in app.button if "channel" in button.key}


def test_flat_masks_are_called_flat(installed: dict[str, ModelInfo]) -> None:
    app = sample(weights="flat")
    assert "No effect: with the same mask made flat" in html(app)
    pick(app, "attention_view", "mean")
    assert "Flat: 0.500 everywhere" in html(
        app
    ) and "None of its 16 channels varies over the face" in html(app)
    assert (heatmap(app)["zmin"], heatmap(app)["zmax"]) == (0, 1)
    app = sample(weights="flat", tab="matter")
    press(app, "attention-all-shuffled")
    assert "Almost nothing changes" in html(app)


def test_an_address_is_read_and_kept_up_to_date(installed: dict[str, ModelInfo]) -> None:
    wanted = {
        "weights": "open",
        "block": "attention2",
        "view": "max",
        "colours": "magma",
        "cells": "smooth",
        "opacity": "35",
        "scale": "full",
    }
    app = sample(**wanted)
    assert address(app) == wanted | {"picture": "sample", "tab": "look", "details": "1"}
    trace = heatmap(app)
    assert (
        cells(trace) == 8
        and trace["opacity"] == 0.35
        and trace["colorscale"][0][1] == "rgb(0, 0, 4)"
        and trace["zmax"] == 1
    )
    assert "<b>Block 2</b>, maximum over" in html(app)
    pick(app, "attention_cells", "blocks")
    assert "cells" not in address(app)  # what is at its default is left out
    assert address(sample(tab="matter"))["tab"] == "matter"


@pytest.mark.parametrize(
    "params",
    [
        {"opacity": "900"},
        {"opacity": "٣"},
        {"block": "attention9"},
        {"weights": "../x"},
        {"view": "<b>", "face": "7"},
    ],
)
def test_a_wrong_address_does_no_harm(
    installed: dict[str, ModelInfo], params: dict[str, str]
) -> None:
    app = sample(**params)
    assert (
        app.session_state["attention_opacity"] == 60
        and app.session_state["attention_weights"] == "gated"
    )
    assert cells(heatmap(app)) == 16 and app.session_state["attention_face"] == 1


@pytest.mark.parametrize(
    "params",
    [
        {"tab": "nosuch"},
        {"picture": "mine.jpg"},
        {"weights": "nosuch"},
        {"opacity": "900"},
        {"cover": "1.2"},
        {"wieghts": "gated"},
    ],
)
def test_what_an_address_says_wrong_is_said(
    installed: dict[str, ModelInfo], params: dict[str, str]
) -> None:
    app = opened(**params)
    ((name, word),) = params.items()
    known = name in query_params.ADDRESS.settings or name == "picture"
    assert not app.exception and (word if known else name) in alerts(app)
    assert not app.expander[0].warning, "in sight, not folded away"
    assert not alerts(opened(picture="sample", tab="look", utm_source="a", fbclid="b"))


def test_a_row_of_a_set_is_opened_by_address_with_its_label(
    installed: dict[str, ModelInfo], work: dict[str, list], drawn_sets: Path
) -> None:
    app = opened(set="utkface", row="12", tab="look", details="1")
    record, encoded = read_row("utkface", 12)
    words = " ".join(item.value for item in app.markdown)
    assert (
        f"**UTKFace**, row 12 ({record.split}): labelled {record.age} years, {record.gender}"
        in words
    )
    assert address(app)["row"] == "12" and cells(heatmap(app)) == 16
    (answer,) = app.session_state["answers"].values()
    assert answer.reused, "the set says where the face is: nothing is looked for"
    info = installed["gated"]
    with Image.open(io.BytesIO(encoded)) as chip:
        wanted = align(chip.convert("RGB"), chip_face(chip, record), info.input)
    assert answer.predictions[0].crop.tobytes() == wanted.tobytes(), (
        "what the reports were measured on"
    )
    app.button(key="attention-leave-row").click().run()
    assert "row" not in app.query_params and "eileen_collins" in html(app)


@pytest.mark.parametrize(
    "name,row,complaint",
    [
        ("utkface", "5000", "has no such row"),
        ("utkface", "-1", "rows are whole numbers"),
        ("../utkface", "1", "sets are utkface"),
        ("fgnet", "3", "FG-NET is not here"),
    ],
)
def test_a_row_that_is_not_here_is_named(
    installed: dict[str, ModelInfo], drawn_sets: Path, name: str, row: str, complaint: str
) -> None:
    app = opened(set=name, row=row)
    assert (
        not app.exception
        and complaint in alerts(app)
        and str(drawn_sets) not in alerts(app)
        and "cannot be opened" in " ".join(item.proto.title for item in app.warning)
    )
    assert any(item.key == "uploads" for item in app.file_uploader)


def test_a_row_without_any_set_here(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGEGENDER_DATA", str(tmp_path / "nowhere"))
    app = opened(set="utkface", row="1")
    assert not app.exception and "AGEGENDER_DATA" in alerts(app)
    assert str(tmp_path) not in alerts(app), "the server's folders are not for visitors"


def test_masks_switched_off_move_the_answer(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    app = sample(tab="matter")
    before = ages(app)
    assert before[0] == before[1] and "Nothing is changed yet" in html(app) and work["answer"] == []
    pick(app, "attention-change-attention1", "off")
    off = ages(app)
    assert (
        off[0] == before[0] and off[1] != off[0] and work["answer"] == [({"attention1": "off"}, 0)]
    )
    assert re.search(r"years (older|younger)", html(app)) and "was not measured" in html(app)
    names = [trace["name"] for plot in plots(app) for trace in plot["data"]]
    assert names == ["after", "before"]
    pick(app, "attention-change-attention1", "own")
    assert ages(app) == before
    pick(app, "attention-change-attention1", "off")
    assert ages(app) == off and len(work["answer"]) == 1  # known already
    press(app, "attention-all-own")
    assert ages(app) == before


def test_another_shuffle_is_another_answer(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    app = sample(tab="matter")
    assert app.button(key="attention-reshuffle").disabled
    press(app, "attention-all-shuffled")
    first = attention_answers(app)
    press(app, "attention-reshuffle")
    assert [seed for _, seed in work["answer"]] == [0, 1] and attention_answers(app) != first
    assert all(
        set(changes.values()) == {"shuffled"} and len(changes) == 3 for changes, _ in work["answer"]
    )


def attention_answers(app: AppTest) -> float:
    """Years of the answer asked for last."""
    return list(app.session_state["attention-answers"].values())[-1][0].years


def test_a_covered_face_and_changed_masks_are_one_answer(
    installed: dict[str, ModelInfo], work: dict[str, list]
) -> None:
    app = sample(tab="matter", cover="8.8.8.32")
    assert "6 % of the face is covered too" in "\n".join(line.value for line in app.caption)
    covered = attention_answers(app)
    pick(app, "attention-change-attention2", "off")
    assert work["answer"] == [({"attention2": "off"}, 0)] and attention_answers(app) != covered
    press(app, "attention-uncover")
    assert "cover" not in address(app) and "is covered too" not in "\n".join(
        line.value for line in app.caption
    )


def test_other_networks_get_saliency_by_that_name(installed: dict[str, ModelInfo]) -> None:
    app = sample(weights="plain")
    text = html(app)
    assert (
        "it is not the model&#x27;s own mask" in text and "Gate" not in text and "Trunk" not in text
    )
    assert (
        "Network plain (saliency, not its own mask)"
        in app.selectbox(key="attention_weights").options
    )
    assert [option.content for option in app.button_group(key="attention_block").proto.options] == [
        "Grad-CAM (saliency)",
        "Occlusion (saliency)",
    ]
    pick(app, "attention_block", "occlusion")
    assert cells(heatmap(app)) == 8 and "Occlusion" in html(app)
    pick(app, "attention_target", "gender")
    assert "for the gender" in html(app) and len(app.session_state["attention-saliency"]) == 4
    app.session_state["attention-tabs"] = query_params.TABS["matter"]
    checked(app.run())
    assert "no masks of its own" in alerts(app)
    app = sample(weights="plain", tab="cover", cover="20.20.20.64")
    assert "no attention masks" in markdown(app) and [len(plot["data"]) for plot in plots(app)] == [
        2
    ]  # age ranges, before and after


def test_a_model_without_masks_points_to_one_that_has_them(installed: dict[str, ModelInfo]) -> None:
    app = sample(weights="plain", tab="cover", cover="20.20.20.64")
    press(app, "attention-with-masks")
    assert address(app).get("weights", "gated") == "gated" and "cover" in address(app)
    assert "no attention masks" not in markdown(app)
    assert "attention-with-masks" not in {button.key for button in app.button}


def test_without_masked_networks_it_is_said_how_to_get_one(
    installed: dict[str, ModelInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(
        [write_network(tmp_path, "plain", "multitask_cnn", HEADS, default=True)], tmp_path
    )
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    app = sample()
    assert "No model with attention masks is installed" in alerts(
        app
    ) and "agegender train gra_net_dist" in alerts(app)
    assert cells(heatmap(app)) == 4
    write_manifest([], tmp_path)
    app = AppTest.from_file(str(APP), default_timeout=120).switch_page(PAGE).run()
    assert not app.exception and "No trained weights are installed" in alerts(app)


def test_a_face_is_picked_where_there_are_several(
    installed: dict[str, ModelInfo], portrait: Image.Image, work: dict[str, list]
) -> None:
    two = Image.new("RGB", (900, 512))
    two.paste(portrait.crop((100, 0, 512, 512)))
    two.paste(portrait.resize((400, 400)), (450, 60))
    buffer = io.BytesIO()
    two.save(buffer, "PNG")
    app = upload(opened(tab="look", details="1"), png("two.png", buffer.getvalue()))
    first = html(app)
    pick(app, "attention_face", 2)
    # With the sample.
    assert (
        address(app)["face"] == "2"
        and html(app) != first
        and work["look"] == ["gated"] * 3
        and len(work["detect"]) == 2
    )
    pick(app, "attention_face", 1)
    assert len(work["look"]) == 3 and html(app) == first


def test_pictures_without_a_face_and_broken_ones(
    installed: dict[str, ModelInfo], photo: bytes
) -> None:
    app = opened()
    app.file_uploader[0].set_value([png("wall.png", photo)]).run()
    assert not app.exception and "No face found in wall.png" in alerts(app)
    app.file_uploader[0].set_value([("a.jpg", b"text", "image/jpeg")]).run()
    assert not app.exception and "No answer for a.jpg" in alerts(app)


def test_an_image_from_the_predict_page_is_offered(
    installed: dict[str, ModelInfo], portrait: Image.Image, work: dict[str, list]
) -> None:
    buffer = io.BytesIO()
    portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(buffer, "PNG")
    app = upload(
        AppTest.from_file(str(APP), default_timeout=120).run(), png("mine.png", buffer.getvalue())
    )
    checked(app.switch_page(PAGE).run())
    assert app.button(key="attention-go-on").label.replace(
        "\\", ""
    ) == "Explore mine.png" and "eileen_collins" in html(app)
    press(app, "attention-go-on")
    assert "mine.png. Estimate:" in html(app)


def finished(app: AppTest) -> AppTest:
    """The page once its running test has ended."""
    assert app.session_state["attention-job"][1].wait(100)
    return checked(app.run())


def test_faithfulness_of_one_face(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faithfulness, "RANDOM", 2)
    app = sample(weights="flat", tab="faithful")
    assert not app.dataframe and app.button(key="attention-curves-button").label.startswith(
        "Run the test on this face (about"
    )
    finished(press(app, "attention-curves-button"))
    for number in (1, 2, 3):
        for what in ("mean mask", "mask's deviation", "mask's effect"):
            said = f"The {what} in block {number} does no better than random on this face."
            assert said in markdown(app)
    table = app.dataframe[0].value
    assert (
        table["map"].tolist()[:4]
        == ["Block 1: mean", "Block 1: deviation", "Block 1: effect", "Block 1: trunk"]
        and table["map"].tolist()[-2] == "Crop centre"
        and table["deletion"].iloc[-1] == "the map to beat"
    )
    assert len(plots(app)) == 2 and [len(plot["data"]) for plot in plots(app)] == [7, 7]
    drawn = [trace["name"] for trace in plots(app)[0]["data"]]
    assert "Block 1: effect" in drawn and "Crop centre" in drawn
    monkeypatch.setattr(faithfulness, "run_test", lambda *_: pytest.fail("run again"))
    checked(app.run())
    assert len(app.dataframe) == 1
    pick(app, "attention_target", "gender")
    assert not app.dataframe and "attention-curves-button" in {button.key for button in app.button}


def test_a_running_test_shows_its_progress_and_can_be_cancelled(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def slow(*given: Any) -> None:
        given[-1](30, 120)
        held.wait(60)
        given[-1](60, 120)
        pytest.fail("went on")

    monkeypatch.setattr(faithfulness, "run_test", slow)
    app = press(sample(tab="faithful"), "attention-curves-button")
    job = app.session_state["attention-job"][1]
    while job.done < 30:
        assert job.running
    checked(app.run())
    (bar,) = app.get("progress")
    assert bar.proto.value == 25 and re.fullmatch(r"25 % done, about \d+ s left", bar.proto.text)
    press(app, "attention-curves-cancel")
    assert "attention-job" not in app.session_state and "attention-curves-button" in {
        button.key for button in app.button
    }
    held.set()
    assert job.wait(20) and job.result is None and job.error is None


def around(value: float, spread: float) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread, "n": 40}


def write_averages(folder: Path, info: ModelInfo, lost: float = 0.1) -> None:
    """Averages as «attention-report» leaves them, with numbers set by hand. ``lost``: half the
    interval of what flat masks cost.
    """
    groups = {
        "all": {"all": 300},
        "age": {"0-9": 100, "10-19": 200},
        "gender_answer": {"right": 250, "wrong": 50},
    }
    arrays: dict[str, np.ndarray] = {"all/all/face": np.full((32, 32, 3), 90, np.uint8)}
    for slicing, parts in groups.items():
        for number, (group, count) in enumerate(parts.items()):
            arrays[f"{slicing}/{group}/n"] = np.int64(count)
            arrays[f"{slicing}/{group}/attention1"] = np.linspace(
                0.1, 0.2 + number, 256, dtype=np.float32
            ).reshape(16, 16)
    estimate = {"value": 0.4, "low": 0.35, "high": 0.45, "n": 8}
    good = {
        "area": estimate,
        "curve": [1, 0.5, 0.1],
        "difference": estimate,
        "verdict": "better than random",
    }
    even = good | {"verdict": "no better than random"}
    random = {
        kind: {"area": estimate, "curve": [1, 0.6, 0.1]} for kind in ("deletion", "insertion")
    }
    maps = {
        "attention1": {"deletion": good, "insertion": even},
        "grad_cam": {"deletion": good, "insertion": good},
        "random 16x16": random,
    }
    report = {
        "weights": info.name,
        "weights_sha256": info.sha256,
        "set": "utkface",
        "split": "test",
        "n": 300,
        "curves_n": 8,
        "steps": 2,
        "how": "By hand",
        "sides": {"attention1": 16, "grad_cam": 4},
        "groups": groups,
        "targets": {"age": maps, "gender": maps},
        "activity": {"attention1": {"saturated": 0.38, "over_face": 0.1, "between_faces": 0.001}},
        "changes_n": 40,
        "changes": [
            {
                "block": "attention1",
                "change": "off",
                "moved": 1.25,
                "mae": None,
                "gender_accuracy": around(-0.02, 0.01),
            },
            {
                "block": "all",
                "change": "mean",
                "moved": 1.5,
                "mae": around(0.4, lost),
                "gender_accuracy": None,
            },
        ],
    }
    (folder / info.name / "attention").mkdir(parents=True)
    (folder / info.name / "attention" / "utkface.json").write_text(json.dumps(report))
    np.savez_compressed(folder / info.name / "attention" / "utkface.npz", **arrays)


def test_effects_stand_beside_their_controls(
    installed: dict[str, ModelInfo], tmp_path: Path
) -> None:
    info = installed["gated"]
    write_averages(tmp_path / "reports", info)
    path = tmp_path / "reports" / info.name / "attention" / "utkface.json"
    report = json.loads(path.read_text())
    maps = report["targets"]["age"]
    better = {"value": 0.1, "low": 0.05, "high": 0.2, "n": 8}
    worse = {"value": -0.1, "low": -0.2, "high": -0.05, "n": 8}
    good = maps["grad_cam"]["deletion"]
    both = {
        "deletion": good | {"against": {"centre": worse, "trunk": better}},
        "insertion": good | {"against": {"centre": better, "trunk": better}},
    }
    maps |= {
        "attention1.effect": both,
        "attention1.trunk": {"deletion": good, "insertion": good},
        "centre": {"deletion": good, "insertion": good},
    }
    report["sides"] |= {"attention1.effect": 16, "attention1.trunk": 16, "centre": 16}
    path.write_text(json.dumps(report))
    with np.load(path.with_suffix(".npz")) as saved:
        arrays = dict(saved)
    for name, values in list(arrays.items()):
        if name.endswith("/attention1"):
            arrays[f"{name}.effect"] = 2 * values
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    app = sample(tab="set")
    said = "\n".join(item.value for item in app.markdown).replace("\\", "")
    assert "The mask's effect in block 1 does better than random on average." in said
    assert "Better than nearness to the crop's centre, at both: Block 1: effect." in said
    assert "That control beats random maps" in said
    assert "the features before the mask, at both: no effect of a mask." in said
    assert "trunk in block 1 does" not in said and "Crop centre does" not in said
    shown = html(app)
    assert shown.index("Block 1: effect") < shown.index("Block 1: mean"), "effects first"
    assert "Effect: how far a mask changes its block's output" in "\n".join(
        item.value for item in app.caption
    )
    table = next(frame.value for frame in app.dataframe if "map" in frame.value.columns)
    assert {"Block 1: effect", "Block 1: trunk", "Crop centre", "Block 1: mean"} <= set(
        table["map"]
    )
    (deletion, _) = plots(app)
    drawn = {line["name"] for line in deletion["data"]}
    assert {"Block 1: effect", "Crop centre"} <= drawn
    assert not drawn & {"Block 1: mean", "Block 1: trunk"}


def test_an_effect_may_reach_beyond_one() -> None:
    values = np.array([[0.2, 1.4]])
    assert figures.limits(values, "full") == (0.0, 1.4) and figures.limits(values, "own") == (
        0.2,
        1.4,
    )
    assert figures.limits(np.array([[0.2, 0.7]]), "full") == (0.0, 1.0)


def test_averages_over_a_test_set(installed: dict[str, ModelInfo], tmp_path: Path) -> None:
    app = sample(tab="set")
    assert "No averages over a test set are here" in alerts(
        app
    ) and "attention-report gated" in alerts(app)
    write_averages(tmp_path / "reports", installed["gated"])
    app = sample(tab="set")
    said = "\n".join(item.value for item in app.markdown).replace("\\", "")
    assert "Averages over 300 faces" in said and "UTKFace, test" in said
    assert "crop's centre" not in said, "a report made before there were controls"
    assert "Effect: how far" not in said
    assert (
        "does better than random at deletion, no better than random at insertion, on average"
        in said
    )
    assert "n 300" in html(app) and "Mean face" in html(app)
    pick(app, "attention-slicing", "age")
    assert "n 100" in html(app) and "10–19" in html(app) and "Mean face" not in html(app)
    table = next(frame.value for frame in app.dataframe if "map" in frame.value.columns)
    assert (
        table["deletion, area"].iloc[0] == "0.400 (0.350 to 0.450)"
        and table["deletion, verdict"].iloc[2] == "the map to beat"
    )
    assert not app.warning
    assert (
        "38 % of values are saturated (within 0.02 of 0 or 1); it is the same for every face"
        in html(app)
    )
    assert "error grows by 0.40 years: where it looks matters" in said
    changes = next(
        frame.value for frame in app.dataframe if "its mask becomes" in frame.value.columns
    )
    assert (
        changes["block"].tolist() == ["Block 1", "all blocks"]
        and changes["gender, points"].iloc[0] == "-2.0 (-3.0 to -1.0)"
    )
    write_averages(
        tmp_path / "reports", dataclasses.replace(installed["open"], sha256="0"), lost=0.5
    )
    app = sample(tab="set", weights="open")
    assert "earlier version of the weights" in alerts(app)
    assert "too uncertain to say whether where it looks matters" in markdown(app)


def test_raw_masks_can_be_taken_away(
    installed: dict[str, ModelInfo], portrait: Image.Image
) -> None:
    seen = subject(installed["gated"], portrait)
    with np.load(io.BytesIO(npz(seen))) as arrays:
        assert arrays["attention2.mask"].shape == (32, 8, 8) and arrays["crop"].shape == (32, 32, 3)
        np.testing.assert_array_equal(
            arrays["attention1.mask"], seen.maps().block("attention1").mask
        )
    with np.load(io.BytesIO(npz(subject(installed["plain"], portrait)))) as arrays:
        assert {"crop", "grad_cam.age", "occlusion.gender"} <= set(arrays) and not any(
            "mask" in name for name in arrays
        )


def test_the_view_can_be_taken_away(installed: dict[str, ModelInfo], portrait: Image.Image) -> None:
    seen = subject(installed["gated"], portrait)
    settings = {
        "colours": "magma",
        "scale": "full",
        "cells": "blocks",
        "opacity": 100,
        "under": "crop",
    }
    shown = layers.layer(seen, "attention3")
    picture = Image.open(io.BytesIO(view_png(seen, shown, settings)))
    cell = picture.crop((24, 24, 24 + 512, 24 + 512)).reduce(128)  # 4x4 cells of one colour each
    expected = figures.coloured(shown.values, "magma", 0, 1)
    np.testing.assert_array_equal(np.asarray(cell), np.asarray(expected))
    smooth = view_png(
        seen, layers.layer(seen, "grad_cam"), settings | {"cells": "smooth", "under": "sharp"}
    )
    assert Image.open(io.BytesIO(smooth)).format == "PNG"


def test_downloads_are_on_the_page(installed: dict[str, ModelInfo]) -> None:
    assert {button.proto.label for button in sample().get("download_button")} == {"PNG", "NPZ"}


def test_what_a_session_keeps_is_bounded(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session.MOST, "answers", 2)
    app = sample(tab="matter")
    for block in (1, 2, 3):
        pick(app, f"attention-change-attention{block}", "off")
    assert len(app.session_state["attention-answers"]) == 2


def test_colours_run_from_low_to_high() -> None:
    for name, (low, high) in {
        "viridis": ((68, 1, 84), (253, 231, 37)),
        "cividis": ((0, 34, 78), (254, 232, 56)),
    }.items():
        table = figures.table(name)
        assert (
            np.abs(table[0].astype(int) - low).max() <= 3
            and np.abs(table[-1].astype(int) - high).max() <= 3
        )
        luma = table @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(luma) > -0.5).all(), name
    values = np.array([[0.0, 0.5], [1.0, 2.0]])
    assert figures.coloured(values, "viridis", 0, 1).getpixel((1, 1)) == tuple(
        figures.table("viridis")[255]
    )
    assert all("#" not in stop for stops in figures.STOPS.values() for stop in stops)


def test_limits_do_not_stretch_what_is_flat() -> None:
    assert figures.limits(np.array([[0.4, 0.405]]), "own") == (0, 1)
    assert figures.limits(np.array([[0.25, 0.5]]), "own") == (0.25, 0.5)
    assert figures.limits(np.array([[0.25, 0.5]]), "full") == (0, 1)


def test_moved_words() -> None:
    woman, man = (
        Categorical(("Female", "Male"), 0, (0.971, 0.029)),
        Categorical(("Female", "Male"), 1, (0.4, 0.6)),
    )
    words = interventions.moved_words((AgeEstimate(30.0), woman), (AgeEstimate(33.24), man))
    assert words == "3.2 years older. Female from 97.1 % to 40.0 %, so the answer turns into Male."
    assert "does not matter" in interventions.moved_words(
        (AgeEstimate(30.0), woman), (AgeEstimate(30.05), woman)
    )
    young = Categorical(("0-2", "3-9"), 0, (0.9, 0.1))
    moved = interventions.moved_words(
        (AgeEstimate(1.0, ranges=young), None),
        (AgeEstimate(1.0, ranges=dataclasses.replace(young, index=1)), None),
    )
    assert moved == "The likeliest range moves from 0–2 to 3–9."


def test_verdicts_need_both_a_lead_and_a_margin() -> None:
    peers = [
        {"deletion_area": 0.5, "insertion_area": 0.5},
        {"deletion_area": 0.45, "insertion_area": 0.55},
    ]
    judge = faithfulness.verdict
    assert (
        judge({"deletion_area": 0.3, "insertion_area": 0.3}, peers, "deletion")
        == "better than random"
    )
    assert (
        judge({"deletion_area": 0.445, "insertion_area": 0.3}, peers, "deletion")
        == "no better than random"
    )
    assert (
        judge({"deletion_area": 0.6, "insertion_area": 0.3}, peers, "deletion")
        == "worse than random"
    )
    assert (
        judge({"deletion_area": 0.3, "insertion_area": 0.7}, peers, "insertion")
        == "better than random"
    )
    assert (
        judge({"deletion_area": 0.3, "insertion_area": 0.52}, peers, "insertion")
        == "no better than random"
    )


def test_titles_of_layers() -> None:
    assert [
        layers.title(name)
        for name in (
            *("attention1", "decade.attention3", "attention2.effect", "grad_cam", "centre"),
            "random",
        )
    ] == [
        "Block 1",
        "Decade, block 3",
        "Block 2: effect",
        "Grad-CAM",
        "Crop centre",
        "Random",
    ]
    assert areas({}).empty


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("gated", "The model's attention masks: bright where they make the most"),
        ("plain", "Attention masks of another model, Network gated: bright where they make"),
        ("trio", "The model's attention masks: bright where they make the most"),
    ],
)
def test_cards_of_predict_have_a_strip_of_masks(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch, weights: str, words: str
) -> None:
    monkeypatch.setenv("AGEGENDER_WEIGHTS", weights)
    app = AppTest.from_file(APP, default_timeout=120).run()
    assert not app.exception
    (strip,) = (part.value for part in app.html if "ag-maps ag-strip" in part.value)
    assert words in strip and strip.count("<img") == 3
    assert "".join(re.findall(r"<b>(.*?)</b>", strip)).count("lock") == 3


def test_no_strip_where_no_model_has_masks(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.attention.strip.networks", lambda entries: ([], list(entries)))
    app = AppTest.from_file(APP, default_timeout=120).run()
    assert not app.exception and "ag-strip" not in html(app)


def test_a_strip_is_made_once(
    installed: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predict draws it at every run, and another model's needs the image decoded again."""
    monkeypatch.setenv("AGEGENDER_WEIGHTS", "plain")
    made = []
    monkeypatch.setattr(
        "ui.attention.strip._made", lambda info, answer, index: made.append(index) or "<p>strip"
    )
    app = AppTest.from_file(APP, default_timeout=120).run().run()
    assert not app.exception and made == [0]


def test_the_page_reads_the_manifest_no_second_time(
    networks: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is parsed once for all pages; this page once parsed it at every click."""
    from ui.attention.session import networks as sorted_out

    def unread(folder: Path | None = None) -> list[ModelInfo]:
        raise AssertionError("the manifest is read again")

    monkeypatch.setattr("agegender_core.inference.model_zoo.list_weights", unread)
    monkeypatch.setattr("agegender_core.explain.attention_models.list_weights", unread)
    own, others = sorted_out(list(networks.values()))
    assert {info.architecture for info in own} <= {"gra_net", "gra_net_trio"}
    assert {*(info.name for info in own), *(info.name for info in others)} == set(networks)
