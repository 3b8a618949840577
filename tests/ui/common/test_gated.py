"""Pages reach networks and decoders through the queue and the decoders' pool alone."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest
from PIL import Image

from agegender_core.errors import BusyError
from agegender_core.serving import runtime
from agegender_core.serving.admission import AdmissionQueue
from agegender_core.serving.decoding_pool import Pool
from ui.common import gated, services

ROOT = Path(__file__).parents[3]
HOME = ROOT / "ui/common/gated.py"
DIRECT = re.compile(r"(?<![\w.])load_image\(|\.admit\(|\.decoders\(\)")
NETWORK = re.compile(r"predictor\.run\(|\.explain\(|saliency_map\(|predict_crops\(|patch_effects\(")
KNOWN = {
    "ui/attention/session.py": 3,  # within ``cached``, which takes a slot
    "ui/attention/faithfulness.py": 1,  # a job, a slot for each of its steps
    "ui/attention/cover.py": 1,  # the same
    "ui/errors/detail.py": 1,
    "ui/guess/session.py": 1,
    "ui/common/session_results.py": 1,
}
"""Uses of a network by pages. Each was looked at: it happens in a block of ``gated.slot`` or
``gated.steps``.
"""


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> AdmissionQueue:
    made = AdmissionQueue(1, 0)
    monkeypatch.setattr(services, "admission", lambda: made)
    return made


def drawn() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def sources() -> list[Path]:
    return [path for folder in ("ui", "pages") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_page_decodes_or_queues_by_itself() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in sources()
        if path != HOME and "gradio" not in path.parts and "guard" not in path.parts
        if DIRECT.search(path.read_text())
    }
    assert found == set()
    assert DIRECT.search(HOME.read_text())


def test_every_use_of_a_network_is_known_to_be_gated() -> None:
    found = {
        str(path.relative_to(ROOT)): len(NETWORK.findall(path.read_text())) for path in sources()
    }
    assert {name: count for name, count in found.items() if count} == KNOWN
    for name in KNOWN:
        assert "gated.s" in (ROOT / name).read_text()


def test_images_are_decoded_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, threads = Pool(1, 0, "decoder"), []
    monkeypatch.setattr(runtime, "decoders", lambda: pool)
    read = gated.load_image

    def noted(data: bytes) -> object:
        threads.append(threading.current_thread().name)
        return read(data)

    monkeypatch.setattr(gated, "load_image", noted)
    assert gated.image(drawn()).size == (64, 64)
    assert threads == ["decoder"]
    hold = threading.Event()
    promise = pool.submit(lambda: hold.wait(20))
    with pytest.raises(BusyError):
        gated.image(drawn())
    hold.set()
    promise.result(20)


def test_a_slot_within_a_slot_is_the_same_one(gate: AdmissionQueue) -> None:
    """With room for one it would wait for itself for ever."""
    with gated.slot(), gated.slot(), gated.slot(already_admitted=True):
        assert gate.taken_by(gated.client()) == 1
    with gated.slot():
        pass
    with pytest.raises(ValueError, match="x"), gated.slot():
        raise ValueError("x")
    assert gate.taken_by(gated.client()) == 0


def test_a_long_job_lets_others_in_between_its_steps(gate: AdmissionQueue) -> None:
    served = threading.Event()

    def other() -> None:
        with gate.admit(already_admitted=True, caller="10.0.0.2"):
            served.set()

    with gated.steps("10.0.0.1") as between:
        threading.Thread(target=other, daemon=True).start()
        for _ in range(200):
            if served.wait(0.05):
                break
            between()
        assert served.is_set() and gate.taken_by("10.0.0.1") == 1
    assert gate.taken_by("10.0.0.1") == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [(None, "127.0.0.1"), ("10.1.2.3", "10.1.2.3"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_clients_are_counted_as_the_guard_counts_them(
    monkeypatch: pytest.MonkeyPatch, address: str | None, client: str
) -> None:
    from ui.guard.limits import client_of

    class Context:
        ip_address = address

    monkeypatch.setattr(gated.st, "context", Context)
    monkeypatch.setattr(gated.streamlit_private, "in_page", lambda: True)
    assert gated.client() == client
    assert address is None or client_of({"client": (address, 1)}) == client
