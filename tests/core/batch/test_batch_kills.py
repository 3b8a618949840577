"""A batch job killed ten times at random moments loses no row and repeats none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.batch_kills import kill_often, light_command, light_expected, write_light

pytestmark = pytest.mark.slow


def test_killed_ten_times_no_row_is_lost_or_repeated(tmp_path: Path) -> None:
    write_light(tmp_path / "images", 1200)
    command = light_command(tmp_path / "images", tmp_path / "out")
    result = kill_often(command, tmp_path / "out", light_expected(1200), 10, longest=0.2)
    assert (result.lost, result.repeated, result.half_written) == (0, 0, 0)
    assert result.at_work >= 5 and len(set(result.moments)) >= 3, (
        "the kills came too early or too late to say anything"
    )
