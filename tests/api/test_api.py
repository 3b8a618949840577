"""The API by Gradio's own client and by plain HTTP, against the running server."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from agegender_core import load_predictor
from agegender_core.explain.attention import AttentionNetwork
from tests.e2e.harness import running_app

jsonschema = pytest.importorskip("jsonschema")
DEFAULT, MASKED = "efficientnet_lite0", "gra_net_dist"


@pytest.fixture(scope="module")
def client(server: str, ready: dict) -> Iterator[Client]:
    client = Client(f"{server}/gradio/", verbose=False, analytics_enabled=False)
    yield client
    client.close()


@pytest.fixture
def image_path(tmp_path: Path, two_faces: bytes) -> Path:
    path = tmp_path / "two.png"
    path.write_bytes(two_faces)
    return path


def left_over(uploads: Path) -> list[str]:
    """Uploads the server still holds, the examples left out."""
    return [
        path.name
        for path in uploads.rglob("*")
        if path.is_file() and not path.name.startswith("sample ")
    ]


def post(server: str, name: str, data: list[Any]) -> httpx.Response:
    return httpx.post(f"{server}/gradio/gradio_api/call/{name}", json={"data": data}, timeout=30)


def uploaded(server: str, name: str, content: bytes) -> dict[str, Any]:
    answer = httpx.post(
        f"{server}/gradio/gradio_api/upload", files={"files": (name, content)}, timeout=30
    )
    answer.raise_for_status()
    return {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def returned(client: Client, name: str) -> dict[str, Any]:
    (found,) = client.view_api(return_format="dict", print_info=False)["named_endpoints"][name][
        "returns"
    ]
    return found["type"]


def test_ready_says_which_weights_are_loaded(ready: dict) -> None:
    assert ready["ready"] and ready["default"] == DEFAULT and ready["offered"] == [DEFAULT, MASKED]
    assert DEFAULT in [entry["name"] for entry in ready["loaded"]]
    assert all(len(entry["sha256"]) == 64 for entry in ready["loaded"])


def test_health_and_the_pages_are_on_the_same_port(server: str) -> None:
    assert httpx.get(f"{server}/_stcore/health").text == "ok"
    assert "streamlit" in httpx.get(f"{server}/").text.lower()
    assert "gradio" in httpx.get(f"{server}/gradio/").text.lower()


@pytest.mark.slow
def test_an_open_page_does_not_keep_the_server_from_ending(ready: dict) -> None:
    # Ends it, and fails where that takes half a minute.
    with (
        ExitStack() as pages,
        running_app(script="serve.py") as url,
    ):
        page = pages.enter_context(
            httpx.stream("GET", f"{url}/gradio/gradio_api/heartbeat/page", timeout=30)
        )
        lines = page.iter_lines()
        assert next(lines) == "data: ALIVE"


def test_behind_a_proxy_gradio_knows_its_own_address(server: str) -> None:
    there = {"x-forwarded-host": "demo.example", "x-forwarded-proto": "https"}
    assert (
        httpx.get(f"{server}/gradio/config", headers=there).json()["root"]
        == "https://demo.example/gradio"
    )
    assert httpx.get(f"{server}/gradio/config").json()["root"] == f"{server}/gradio"


def test_only_the_three_endpoints_are_public(client: Client) -> None:
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == {
        "/predict",
        "/predict_batch",
        "/attention",
    }


def test_predict_is_the_cores_answer_in_the_documented_shape(
    client: Client, image_path: Path, uploads: Path
) -> None:
    answer = client.predict(handle_file(str(image_path)), DEFAULT, api_name="/predict")
    jsonschema.validate(answer, returned(client, "/predict"))
    expected = load_predictor(DEFAULT).run(image_path).as_dict()
    assert answer["file"] == "two.png" and len(answer["faces"]) == 2 and answer["width"] == 900
    for there, here in zip(answer["faces"], expected["faces"], strict=True):
        assert there["age"]["years"] == pytest.approx(here["age"]["years"], abs=0.02)
        assert there["face"]["box_xyxy"] == pytest.approx(here["face"]["box_xyxy"], abs=0.2)
        assert "race" not in there
    assert left_over(uploads) == []


def test_the_default_network_answers_where_none_is_named(client: Client, image_path: Path) -> None:
    assert client.predict(handle_file(str(image_path)), api_name="/predict")["weights"] == DEFAULT


def test_batch_has_an_entry_for_each_image(
    client: Client, image_path: Path, tmp_path: Path, uploads: Path
) -> None:
    text, cut, empty = tmp_path / "notes.txt", tmp_path / "cut.png", tmp_path / "wall.png"
    text.write_text("not an image")
    cut.write_bytes(image_path.read_bytes()[:5000])
    Image.new("RGB", (200, 200), "grey").save(empty)
    answers = client.predict(
        [handle_file(str(path)) for path in (text, image_path, cut, empty)],
        DEFAULT,
        api_name="/predict_batch",
    )
    jsonschema.validate(answers, returned(client, "/predict_batch"))
    assert [answer["file"] for answer in answers] == ["notes.txt", "two.png", "cut.png", "wall.png"]
    assert [answer.get("error", {}).get("reason") for answer in answers] == [
        "not_an_image",
        None,
        "truncated",
        None,
    ]
    assert [len(answer.get("faces", [])) for answer in answers] == [0, 2, 0, 0]
    assert left_over(uploads) == []


def test_attention_gives_the_masks(client: Client, image_path: Path, uploads: Path) -> None:
    answer = client.predict(handle_file(str(image_path)), MASKED, 1, api_name="/attention")
    jsonschema.validate(answer, returned(client, "/attention"))
    runner = load_predictor(MASKED)
    face = runner.predict(image_path)[1]
    maps = AttentionNetwork(runner.info, runner.network).explain(face.crop)
    assert [block["name"] for block in answer["blocks"]] == [block.name for block in maps.blocks]
    for there, here in zip(answer["blocks"], maps.blocks, strict=True):
        assert there["shape"] == list(here.mask.shape) and there["gate"] == pytest.approx(
            here.gate, abs=1e-3
        )
        assert np.allclose(there["mean"], here.mean(), atol=2e-3)
        assert np.allclose(there["maximum"], here.maximum(), atol=2e-3)
        assert np.allclose(there["effect"], here.effect(), atol=2e-2)
        assert not np.allclose(there["effect"], here.mean(), atol=2e-2)
    assert left_over(uploads) == []


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


BAD: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("text", lambda _: b"hello there, this is text", "This is a text file, not an image"),
    ("cut", lambda good: good[:5000], "incomplete or damaged"),
    ("empty", lambda _: b"", "The file is empty"),
    ("small", lambda _: png((10, 10)), "each side needs at least 20"),
    ("pixels", lambda _: png((9000, 8000)), "more than 65 megapixels"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), BAD, ids=[name for name, _, _ in BAD])
@pytest.mark.parametrize("endpoint", ["predict", "attention"])
def test_a_bad_image_is_a_422_that_says_why(
    server: str,
    ready: dict,
    two_faces: bytes,
    uploads: Path,
    endpoint: str,
    name: str,
    spoil: Callable[[bytes], bytes],
    message: str,
) -> None:
    more = [DEFAULT] if endpoint == "predict" else [MASKED, 0]
    answer = post(server, endpoint, [uploaded(server, f"{name}.png", spoil(two_faces)), *more])
    assert answer.status_code == 422 and message in answer.text
    assert left_over(uploads) == []


def test_a_missing_image_an_unknown_network_and_a_bad_number_are_422(
    server: str, ready: dict, two_faces: bytes, uploads: Path
) -> None:
    assert (
        "No image was given" in (answer := post(server, "predict", [None, DEFAULT])).text
        and answer.status_code == 422
    )
    answer = post(server, "predict", [uploaded(server, "a.png", two_faces), "xception"])
    assert (
        answer.status_code == 422
        and "is not on offer here: choose one of efficientnet_lite0, gra_net_dist" in answer.text
    )
    answer = post(server, "attention", [uploaded(server, "a.png", two_faces), MASKED, -1])
    assert answer.status_code == 422 and "faces count from 0" in answer.text
    answer = post(
        server,
        "predict_batch",
        [[uploaded(server, f"{n}.png", two_faces) for n in range(6)], DEFAULT],
    )
    assert answer.status_code == 422 and "give 1 to 5 images, not 6" in answer.text
    assert left_over(uploads) == []


def test_a_face_that_is_not_there_is_said(client: Client, image_path: Path) -> None:
    with pytest.raises(Exception, match="face 7 is not in the image: there are 2"):
        client.predict(handle_file(str(image_path)), MASKED, 7, api_name="/attention")


def test_nobody_goes_past_the_queue(server: str, ready: dict) -> None:
    answer = httpx.post(
        f"{server}/gradio/gradio_api/run/predict", json={"data": [None, DEFAULT]}, timeout=30
    )
    assert answer.status_code == 404 and "join the queue" in answer.text


def test_a_file_that_is_too_large_is_a_413(server: str, ready: dict) -> None:
    answer = httpx.post(
        f"{server}/gradio/gradio_api/upload",
        files={"files": ("big.png", b"x" * (3 * 2**20))},
        timeout=30,
    )
    assert answer.status_code == 413


def test_nothing_is_fetched_or_read_for_a_caller(server: str, ready: dict) -> None:
    for address in ("http://127.0.0.1:9/picture.png", "/etc/passwd", "serve.py"):
        data = {"path": address, "meta": {"_type": "gradio.FileData"}}
        answer = post(server, "predict", [data, DEFAULT])
        assert 400 <= answer.status_code < 500, (address, answer.text)


def test_an_image_in_a_data_address_needs_no_upload(
    server: str, ready: dict, two_faces: bytes, client: Client
) -> None:
    import base64

    data = {
        "path": None,
        "url": "data:image/png;base64," + base64.b64encode(two_faces).decode(),
        "meta": {"_type": "gradio.FileData"},
    }
    answer = post(server, "predict", [data, DEFAULT])
    assert answer.status_code == 200
    reported = httpx.get(
        f"{server}/gradio/gradio_api/call/predict/{answer.json()['event_id']}", timeout=60
    ).text
    assert "event: complete" in reported and '"file": "picture"' in reported.replace(
        '"file":"picture"', '"file": "picture"'
    )


def test_callers_at_once_get_their_own_answers(
    server: str, ready: dict, portrait: Image.Image, tmp_path: Path, uploads: Path
) -> None:
    """Each caller's image has a width of its own; answers may not be mixed up."""

    def ask(number: int) -> tuple[int, list[int]]:
        path = tmp_path / f"{number}.jpg"
        canvas = Image.new("RGB", (300 + number, 300), "grey")
        canvas.paste(portrait.resize((280, 280)), (5, 5))
        canvas.save(path)
        own = Client(f"{server}/gradio/", verbose=False, analytics_enabled=False)
        try:
            return number, [
                own.predict(handle_file(str(path)), DEFAULT, api_name="/predict")["width"]
                for _ in range(2)
            ]
        finally:
            own.close()

    with ThreadPoolExecutor(8) as pool:
        for number, widths in pool.map(ask, range(8)):
            assert widths == [300 + number] * 2
    assert left_over(uploads) == []
