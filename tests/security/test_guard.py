"""The guard's parts by themselves: uploads, limits, the gate and its count, calls made anew."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from agegender_core.errors import BusyError
from agegender_core.serving.admission import AdmissionQueue
from ui.common.client_address import household
from ui.compat.gradio_private import GradioQueue
from ui.guard import calls
from ui.guard.admission import Admission
from ui.guard.bodies import Refused
from ui.guard.limits import Crowded, Limits, client_of
from ui.guard.uploads import FILES, LIFETIME, TooMuch, UploadStore, clean_name

MB = 2**20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_upload_is_found_by_its_path_and_nothing_else() -> None:
    store = UploadStore("/folder", 10 * MB, 5 * MB)
    one, two = store.put("a", "x.jpg", b"1"), store.put("b", "x.jpg", b"1")
    assert one.path != two.path and store.find(one.path) is one and store.find(two.path) is two
    for path in (
        one.path + "/",
        one.path.replace("/folder/", "/folder/../folder/"),
        one.path.upper(),
        "",
        None,
        5,
        ["x"],
        one,
    ):
        assert store.find(path) is None
    store.drop(one)
    store.drop(one)
    assert store.find(one.path) is None and store.find(two.path) is two and store.totals() == (1, 1)


def test_what_nobody_uses_is_forgotten_and_what_is_fixed_stays() -> None:
    clock = Clock()
    store = UploadStore("/folder", 10 * MB, 5 * MB, clock)
    used, unused = store.put("a", "x", b"1"), store.put("a", "y", b"22")
    fixed = store.fix("/folder/example.jpg", "example.jpg", b"3")
    clock.now = LIFETIME
    assert store.find(used.path) is used
    clock.now = LIFETIME + 1
    store.sweep()
    assert (
        store.find(unused.path) is None
        and store.find(used.path) is used
        and store.totals() == (1, 1)
    )
    store.drop(fixed)
    assert store.find(fixed.path) is fixed


def test_room_is_counted_while_it_is_on_its_way_and_given_back() -> None:
    store = UploadStore("/folder", 10 * MB, 5 * MB)
    with store.room("a") as take:
        take(4 * MB)
        with pytest.raises(TooMuch, match="more than 5 MB"):
            take(2 * MB)
        with store.room("b") as other:
            other(5 * MB)
            with store.room("c") as third, pytest.raises(TooMuch, match="try again in a minute"):
                third(2 * MB)
    assert store.totals() == (0, 0)
    for number in range(FILES):
        store.put("a", str(number), b"")
    with pytest.raises(TooMuch, match="uploads of yours"):
        store.put("a", "more", b"")


def test_another_front_ends_uploads_count_as_well() -> None:
    store = UploadStore("/folder", 10 * MB, 5 * MB)
    store.others = lambda: 9 * MB
    with pytest.raises(TooMuch):
        store.put("a", "x", b"x" * 2 * MB)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a/b\\c.jpg", "c.jpg"),
        ("../..", ".."),
        ("", "image"),
        (None, "image"),
        ("\x00a\u202egpj.exe", "agpj.exe"),
        ("n" * 999, "n" * 255),
        ("/", "image"),
    ],
)
def test_names_are_shown_without_tricks(given: Any, shown: str) -> None:
    assert clean_name(given) == shown


def test_limits_count_each_client_and_all() -> None:
    limits = Limits({"request": (2, 3)})
    with limits.one("request", "a"), limits.one("request", "a"):
        with pytest.raises(Crowded, match="from your address"), limits.one("request", "a"):
            pass
        with (
            limits.one("request", "b"),
            pytest.raises(Crowded, match="busy"),
            limits.one("request", "c"),
        ):
            pass
    assert not limits.counts["request"]
    limits.enter("request", "proxy", trusted=True)
    limits.enter("request", "proxy", trusted=True)
    limits.enter("request", "proxy", trusted=True)


def test_a_household_is_one_client() -> None:
    assert (
        household("2001:db8:1:2:3::4")
        == household("2001:db8:1:2::9")
        != household("2001:db8:1:3::9")
    )
    assert household("::ffff:10.0.0.1") == household("10.0.0.1") == "10.0.0.1"
    assert household("no address") == household("") == "unknown"
    assert client_of({"client": None}) == "unknown"


def test_the_gate_counts_what_waits_elsewhere() -> None:
    gate, elsewhere = AdmissionQueue(1, 2), 2
    gate.elsewhere = lambda: elsewhere
    with gate.admit():
        with pytest.raises(BusyError), gate.admit():
            pass
        with gate.asked() as room:
            assert not room
    with gate.asked() as room:
        assert room
    elsewhere = 3
    with pytest.raises(BusyError), gate.admit():
        pass
    with gate.covered(), gate.admit():  # its own turn is one of the three
        pass


def test_nobody_is_counted_twice_or_never_again() -> None:
    gate = AdmissionQueue(2, 3)

    def work(covered: bool) -> None:
        if covered:
            with gate.covered(), gate.admit():
                pass
        else:
            with gate.admit(already_admitted=True):
                pass

    threads = [threading.Thread(target=work, args=(bool(number % 2),)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert gate._mine == 0 and gate._busy == 0 and not gate._queue


def event(client: str, number: int = 0) -> Any:
    scope = {"client": (client, 1)}
    return SimpleNamespace(
        request=SimpleNamespace(scope=scope),
        concurrency_id="network",
        session_hash=f"{client}{number}",
        number=number,
    )


def test_the_queue_serves_each_clients_first_before_anybodys_second() -> None:
    line = SimpleNamespace(
        queue=[event("10.0.0.1", number) for number in range(4)], current_concurrency=1
    )
    queue = SimpleNamespace(
        event_queue_per_concurrency_id={"network": line}, active_jobs=[None, [event("10.0.0.2")]]
    )
    gate = AdmissionQueue(1, 9)
    admission = Admission(GradioQueue(queue), lambda: gate)
    joined = admission.enter("10.0.0.3", "network")
    assert admission.count() == 6
    line.queue += [event("10.0.0.2", 1), event("10.0.0.3", 1)]
    joined()
    joined()
    assert admission.count() == 7
    order = [(one.request.scope["client"][0][-1], one.number) for one in line.queue]
    assert order == [("1", 0), ("3", 1), ("1", 1), ("2", 1), ("1", 2), ("1", 3)]


def test_a_full_queue_and_a_full_share_are_refused() -> None:
    line = SimpleNamespace(
        queue=[event("10.0.0.1", number) for number in range(11)], current_concurrency=1
    )
    queue = SimpleNamespace(event_queue_per_concurrency_id={"network": line}, active_jobs=[])
    gate = AdmissionQueue(1, 20)
    admission = Admission(GradioQueue(queue), lambda: gate)
    with pytest.raises(Refused, match="full for you"):
        admission.enter("10.0.0.1", "network")
    left = [admission.enter(f"10.0.1.{number}", "network") for number in range(9)]
    with pytest.raises(Refused, match="many people"):
        admission.enter("10.0.0.3", "network")
    left[0]()
    admission.enter("10.0.0.3", "network")


def component(kind: str, **own: Any) -> Any:
    return type(
        kind,
        (),
        {"stateful": False, "value": None, "allow_custom_value": True, "choices": [], **own},
    )()


def reader(store: UploadStore) -> calls.Reader:
    return calls.Reader(store, "me", MB, 3)


INPUTS = [
    component("Image"),
    component("Dropdown", value="default"),
    component("Number", value=0),
    component("State", stateful=True),
]
NAMES = ["image", "weights", "face", "state"]


def test_arguments_are_made_anew() -> None:
    store = UploadStore("/folder", 10 * MB, 5 * MB)
    upload = store.put("me", "x.jpg", b"1")
    data = reader(store).data(
        [{"path": upload.path, "url": "http://elsewhere/", "meta": 5, "more": "x"}], INPUTS, NAMES
    )
    assert data[1:] == ["default", 0, None]
    assert (
        data[0]["path"] == upload.path
        and data[0]["url"] is None
        and set(data[0])
        == {
            "path",
            "url",
            "size",
            "orig_name",
            "mime_type",
            "is_stream",
            "meta",
        }
    )
    assert reader(store).data([None, "x", 1, {"a": "state"}], INPUTS, NAMES) == [None, "x", 1, None]


@pytest.mark.parametrize(
    "bad",
    [
        [None, 1e999],
        [None, []],
        [None, None, "1"],
        [None, None, 1e12],
        [None, None, True],
        [5],
        [[]],
        [{"path": 5}],
        [None] * 5,
    ],
)
def test_arguments_of_another_kind_are_refused(bad: list[Any]) -> None:
    with pytest.raises(Refused) as refused:
        reader(UploadStore("/folder", 10 * MB, 5 * MB)).data(bad, INPUTS, NAMES)
    assert refused.value.status == 422


def test_files_inside_a_refused_call_are_forgotten() -> None:
    store = UploadStore("/folder", 10 * MB, 5 * MB)
    function = SimpleNamespace(fn=lambda image, weights: None, inputs=INPUTS[:2], _id=1)
    with pytest.raises(Refused):
        calls.rebuild(
            {"data": [{"url": "data:image/png;base64,AAAA"}, []]}, function, reader(store)
        )
    assert store.totals() == (0, 0)
    call = calls.rebuild(
        {
            "data": [{"url": "data:image/png;base64,AAAA"}],
            "session_hash": "../x",
            "trigger_id": "x",
        },
        function,
        reader(store),
    )
    assert (
        call.uploads[0].content == b"\0\0\0"
        and call.body["session_hash"] is None
        and call.body["trigger_id"] is None
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"\xff",
        b"{",
        b'{"a":NaN}',
        b"[" * 3000 + b"]" * 3000,
        b'{"a":' + b"1" * 5000 + b"}",
        b"[" * 5000,
        b"0," * 30000,
    ],
)
def test_what_is_no_plain_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        calls.parse(body)
