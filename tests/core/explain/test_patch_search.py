"""The patch that moves the age most, found in batches: the same as covering the face place by
place.
"""

from __future__ import annotations

import numpy as np
import pytest

from agegender_core.explain.attention import AttentionNetwork, occluded, with_covered_pixels
from agegender_core.explain.patch_search import grid, patch_effects
from tests.support.attention_networks import crop_of, small


@pytest.fixture(scope="module", params=[False, True])
def model(request: pytest.FixtureRequest) -> AttentionNetwork:
    return small(flip=request.param)


@pytest.mark.parametrize("size,side", [(32, 8), (32, 1), (64, 8), (64, 13), (32, 31), (32, 32)])
def test_the_grid_reaches_both_edges(size: int, side: int) -> None:
    offsets = grid(size, side)
    assert offsets[0] == 0 and offsets[-1] == size - side and len(offsets) <= 10
    assert len(offsets) == 1 or np.diff(offsets).max() <= max(
        -(-side // 2), -(-(size - side) // 8), 1
    )


@pytest.mark.parametrize("side", [0, 33])
def test_a_patch_that_does_not_fit_is_refused(model: AttentionNetwork, side: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 32 pixels"):
        patch_effects(model.network, model.info, crop_of(32), side)


@pytest.mark.parametrize(
    "changes", [{}, {"attention1": "mean", "attention2": "shuffled"}, {"attention3": "off"}]
)
def test_batches_answer_as_single_faces_do(model: AttentionNetwork, changes: dict) -> None:
    crop, seen = crop_of(32), []
    found = patch_effects(
        model.network,
        model.info,
        crop,
        16,
        changes,
        3,
        lambda done, total: seen.append((done, total)),
    )
    assert found.before == pytest.approx(model.answer(crop, changes, 3)[0].years, abs=1e-3)
    for row, column in ((0, 0), (0, 2), (2, 1)):
        left, top = found.offsets[column], found.offsets[row]
        covered = occluded(crop, left / 32, top / 32, 0.5)
        assert found.years[row, column] == pytest.approx(
            model.answer(covered, changes, 3)[0].years, abs=1e-3
        )
    assert seen[-1] == (found.years.size, found.years.size) and [
        done for done, _ in seen
    ] == sorted(done for done, _ in seen)


def test_the_strongest_patches_are_the_ends(model: AttentionNetwork) -> None:
    found = patch_effects(model.network, model.info, crop_of(32), 8)
    for older, years in ((True, found.years.max()), (False, found.years.min())):
        left, top, gain = found.strongest(older)
        assert gain == pytest.approx(years - found.before)
        covered = occluded(crop_of(32), left / 32, top / 32, 8 / 32)
        assert model.answer(covered)[0].years == pytest.approx(years, abs=1e-3)


def test_covered_pixels_are_grey_and_no_others() -> None:
    crop, covered = crop_of(32), np.zeros((32, 32), bool)
    covered[4:12, 8:16] = True
    assert (
        with_covered_pixels(crop, covered).tobytes()
        == occluded(crop, 8 / 32, 4 / 32, 8 / 32).tobytes()
    )
    with pytest.raises(ValueError, match="expected"):
        with_covered_pixels(crop, covered[1:])
