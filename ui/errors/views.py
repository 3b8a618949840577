"""The parts of the Errors page by their word in the address; only the chosen one is worked out."""

from __future__ import annotations

from collections.abc import Callable

from ui.errors import (
    compare,
    duplicates,
    export,
    image_quality,
    label_issues,
    own_set,
    plots,
    slices,
)
from ui.errors import gallery as errors_gallery
from ui.errors.data import Scope
from ui.errors.images import ImageSource


def gallery(scope: Scope, image_source: ImageSource) -> None:
    """Tiles of all images that the filter selects."""
    errors_gallery.sorting(scope)
    errors_gallery.show(scope, image_source, errors_gallery.ordered(scope, scope.mask))


VIEWS: dict[str, Callable[[Scope, ImageSource], None]] = {
    "gallery": gallery,
    "plots": plots.show,
    "slices": slices.show,
    "conditions": image_quality.view,
    "compare": compare.show,
    "suspects": label_issues.show,
    "duplicates": duplicates.show,
    "take": export.show,
    "own": lambda scope, image_source: own_set.show(),
}
