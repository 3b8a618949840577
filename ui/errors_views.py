"""The parts of the Errors page by their word in the address; only the chosen one is worked out."""

from __future__ import annotations

from collections.abc import Callable

from ui import errors_compare, errors_gallery, errors_own, errors_plots, errors_slices, errors_suspects, errors_take
from ui.errors_data import Scope
from ui.errors_pictures import Pictures


def gallery(scope: Scope, pictures: Pictures) -> None:
    """Tiles of all pictures that the filter keeps."""
    errors_gallery.sorting(scope)
    errors_gallery.show(scope, pictures, errors_gallery.ordered(scope, scope.mask))


VIEWS: dict[str, Callable[[Scope, Pictures], None]] = {
    "gallery": gallery,
    "plots": errors_plots.show,
    "slices": errors_slices.show,
    "compare": errors_compare.show,
    "suspects": errors_suspects.show,
    "take": errors_take.show,
    "own": lambda scope, pictures: errors_own.show(),
}
