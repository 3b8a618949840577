"""Found faces are kept from process to process, and only for the same photographs and the same
code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agegender_core.evaluation import faces_cache
from agegender_core.evaluation.faces_cache import read_faces, write_faces
from agegender_core.types import Face


def test_faces_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "fgnet.parquet"
    photos.write_bytes(b"photographs")
    monkeypatch.setenv("AGEGENDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(faces_cache, "dataset_path", lambda name: photos)
    marks = np.arange(10, dtype=float).reshape(5, 2) / 3
    faces = {
        3: Face((1.5, 2.0, 30.0, 41.25), 0.987, marks),
        8: Face((0.0, 0.0, 9.0, 9.0), 0.9, None, turned=90),
    }
    assert read_faces("fgnet", (3, 5, 8)) is None
    write_faces("fgnet", (3, 5, 8), faces)
    found = read_faces("fgnet", (3, 5, 8))
    assert set(found) == {3, 8} and np.array_equal(found[3].landmarks, marks)
    assert (found[8].box_xyxy, found[8].score, found[8].turned, found[8].landmarks) == (
        (0, 0, 9, 9),
        0.9,
        90,
        None,
    )
    assert read_faces("fgnet", (3, 5)) is None, "other rows"
    photos.write_bytes(b"other photographs")
    assert read_faces("fgnet", (3, 5, 8)) is None
    (kept,) = (tmp_path / "cache").iterdir()
    photos.write_bytes(b"photographs")
    kept.write_text("{")
    assert read_faces("fgnet", (3, 5, 8)) is None


@pytest.mark.parametrize("file", ["cascade.py", "cascade_networks.py", "image_io/jpeg.py"])
def test_faces_found_by_other_code_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    photos = tmp_path / "fgnet.parquet"
    photos.write_bytes(b"photographs")
    monkeypatch.setenv("AGEGENDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(faces_cache, "dataset_path", lambda name: photos)
    write_faces("fgnet", (3,), {3: Face((0.0, 0.0, 9.0, 9.0), 0.9)})
    assert read_faces("fgnet", (3,))
    code = faces_cache._code()
    assert file in dict(code)
    changed = [(name, content + b"#" if name == file else content) for name, content in code]
    monkeypatch.setattr(faces_cache, "_code", lambda: changed)
    assert read_faces("fgnet", (3,)) is None
