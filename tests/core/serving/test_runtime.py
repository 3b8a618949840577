"""What all front ends of a process share, with networks that are quick to load."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from agegender_core.errors import (
    BusyError,
    ConfigError,
    InvalidImageError,
    NoFaceError,
    WeightsMissingError,
)
from agegender_core.serving import runtime, service
from agegender_core.serving.admission import AdmissionQueue
from agegender_core.serving.api_schema import AnalysisJson, FailureJson, json_schema
from tests.support.networks import HEADS, write_networks


@dataclass(frozen=True)
class Loaded:
    name: str
    race: bool = False


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    entries = write_networks(tmp_path)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    for name in ("AGEGENDER_RACE", "AGEGENDER_WEIGHTS", "AGEGENDER_OFFERED"):
        monkeypatch.delenv(name, raising=False)
    runtime.predictor.clear()
    yield [info.name for info in entries]
    runtime.predictor.clear()


def test_many_who_ask_at_once_get_one_network(
    networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def load(name: str) -> Loaded:
        loads.append(name)
        time.sleep(0.1)
        return Loaded(name)

    monkeypatch.setattr(runtime, "_load", load)
    kept, got = runtime.Predictors(), []
    threads = [
        threading.Thread(target=lambda: got.append(kept(networks[0], False))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [networks[0]] and len(got) == 6 and len({id(one) for one in got}) == 1
    assert kept(networks[0], True) == Loaded(networks[0], True) and loads == [networks[0]]


def test_a_network_that_failed_is_tried_again(
    networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [OSError("disk"), Loaded("x")]

    def load(name: str) -> Loaded:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(runtime, "_load", load)
    kept = runtime.Predictors()
    with pytest.raises(OSError, match="disk"):
        kept(networks[0])
    assert kept.loaded() == []
    assert kept(networks[0]) == Loaded("x") and kept.loaded() == [networks[0]]


def test_the_longest_unused_makes_room(
    networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_load", Loaded)
    kept = runtime.Predictors(2)
    for name in (networks[0], networks[1], networks[0], networks[2]):
        kept(name)
    assert kept.loaded() == [networks[0], networks[2]]


def test_the_manifest_is_parsed_once_until_it_changes(
    networks: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from agegender_core.inference import model_zoo

    parsed: list[Path | None] = []
    read = model_zoo.list_weights
    monkeypatch.setattr(
        model_zoo, "list_weights", lambda folder=None: parsed.append(folder) or read(folder)
    )
    runtime._parsed.cache_clear()
    names = [info.name for info in runtime.installed_weights()]
    assert (
        service.choices()
        and [info.name for info in runtime.manifest()] == names
        and len(parsed) == 1
    )
    model_zoo.write_manifest(
        [info for info in runtime.manifest() if info.name != names[-1]], tmp_path
    )
    assert [info.name for info in runtime.installed_weights()] == names[:-1] and len(parsed) == 2
    with pytest.raises(WeightsMissingError, match="nobody"):
        runtime.predictor("nobody")


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_batch_goes_on_after_a_bad_image(networks: list[str], portrait: Image.Image) -> None:
    data = encoded(portrait)
    answers = dict(
        service.predict_batch([("a", data), ("b", b"text"), ("c", None), ("d", data)], networks[0])
    )
    assert [type(answers[name]).__name__ for name in "abcd"] == [
        "Analysis",
        "InvalidImageError",
        "InvalidImageError",
        "Analysis",
    ]
    assert len(answers["d"].predictions) == 1


def test_the_first_on_offer_answers_where_no_default_is_named(
    networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = list(reversed(networks))
    monkeypatch.setenv("AGEGENDER_OFFERED", ",".join(turned))
    assert service.choices() == turned
    monkeypatch.setenv("AGEGENDER_WEIGHTS", turned[-1])
    assert service.choices() == [turned[-1], *turned[:-1]]


def test_what_is_not_on_offer_is_refused(
    networks: list[str], portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_OFFERED", networks[1])
    assert service.choices() == [networks[1]]
    with pytest.raises(
        ConfigError, match=f"'{networks[0]}' is not on offer: choose one of {networks[1]}"
    ):
        service.predict(encoded(portrait), networks[0])
    monkeypatch.setenv("AGEGENDER_MAX_PICTURES", "1")
    with pytest.raises(ConfigError, match="2 images are more than the 1"):
        service.predict_batch([("a", b""), ("b", b"")], networks[1])
    with pytest.raises(ConfigError, match="there are no images"):
        service.predict_batch([], networks[1])
    with pytest.raises(
        WeightsMissingError, match="none of the networks on offer has attention masks"
    ):
        service.attention(encoded(portrait))


def test_everybody_goes_through_the_gate(
    networks: list[str], portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = AdmissionQueue(1, 0)
    monkeypatch.setattr(runtime, "admission", lambda: full)
    with full.admit(), pytest.raises(BusyError):
        service.predict(encoded(portrait), networks[0])
    assert service.predict(encoded(portrait), networks[0]).predictions


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:3000], lambda data: b"", lambda data: b"hello"],
    ids=["cut", "empty", "text"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_check_refuses_what_the_front_door_refuses(portrait: Image.Image, kind: str, spoil) -> None:
    from agegender_core.vision.image_io import check_image, load_image

    buffer = io.BytesIO()
    portrait.save(buffer, kind)
    check_image(buffer.getvalue())
    bad = spoil(buffer.getvalue())
    with pytest.raises(InvalidImageError) as quick:
        check_image(bad)
    with pytest.raises(InvalidImageError) as slow:
        load_image(bad)
    assert (quick.value.reason, str(quick.value)) == (slow.value.reason, str(slow.value))


def test_schema_names_every_field_of_an_answer(networks: list[str], portrait: Image.Image) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(AnalysisJson | FailureJson)
    for name in HEADS:
        document = {"file": "a.png", **service.predict(encoded(portrait), name).as_dict()}
        jsonschema.validate(document, schema)
    one = json_schema(AnalysisJson)
    assert set(one["properties"]) == set(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "faces": [{}]}, schema)


def test_a_face_that_is_not_there(portrait: Image.Image) -> None:
    if not service.attention_choices():
        pytest.skip("no weights with masks are installed")
    with pytest.raises(NoFaceError, match="face 3 is not in the image: there are 1"):
        service.attention(encoded(portrait), face=3)
