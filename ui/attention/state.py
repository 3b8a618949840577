"""What the session stores for Attention, beside the settings in its address (``query_params``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ui.common.state import Slot

if TYPE_CHECKING:
    from agegender_core.datasets.records import FaceRecord
    from ui.attention.jobs import Job
    from ui.common.session_results import InputImage


TAB = Slot[str]("attention-tabs")
"""Title of the open part."""
IMAGE = Slot[str | None]("attention-kept-picture")
"""Digest of the image from another page that was chosen."""
ROW: Slot[tuple[tuple[str, str], FaceRecord, InputImage] | None] = Slot("attention-row-of-a-set")
"""A dataset's row, after its name and number in the address."""
FLATTEN = Slot[bool]("attention-flatten", bool)
SEED = Slot[int]("attention-seed", int)
"""Of shuffled masks."""
PAD: Slot[dict[str, Any] | None] = Slot("attention-pad")
"""What the visitor covered, as the browser sent it."""
PAD_VERSION = Slot[int]("attention-pad-version", int)
"""Counts what the server put on the face, so that the browser takes it over."""
SEARCH_RESULT = Slot[str | None]("attention-search")
SEARCH_FOR_OLDER = Slot[bool | None]("attention-search-wish")
"""Set where a search was asked for: whether for the patch that makes the face look older."""
DETAILS_OPEN = Slot[bool]("attention-details-open", bool)
PLAYBACK: Slot[dict[str, Any] | None] = Slot("attention-play")
"""Steps left and when the last one was made, while the blocks are played."""
TEST: Slot[tuple[tuple[str, ...] | None, Job | None]] = Slot("attention-job", lambda: (None, None))
"""A running test of faithfulness, after the face and target it is about."""
TEST_ERROR = Slot[str | None]("attention-job-failed")
CURVES = Slot[dict]("attention-curves", dict)
"""Results of finished tests."""


def mask_change(block: str) -> Slot[str]:
    """What a block's mask is changed to."""
    return Slot(f"attention-change-{block}", lambda: "own")


def results(kind: str) -> Slot[dict]:
    """Results of one kind, of those in ``session.MOST``."""
    return Slot(f"attention-{kind}", dict)
