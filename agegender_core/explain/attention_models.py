"""Which installed models have masks of their own. Known without torch, so that a server lists them
before it has loaded one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agegender_core.inference.model_zoo import ModelInfo, list_weights

ARCHITECTURES = ("gra_net", "gra_net_trio")
"""Those that have masks of their own."""


def attention_entries(folder: Path | None = None) -> list[ModelInfo]:
    """Installed weights of networks with masks, the most general first: those for use before those
    made for comparisons.
    """
    return with_masks(info for info in list_weights(folder) if info.installed)


def with_masks(models: Iterable[ModelInfo]) -> list[ModelInfo]:
    """Those of ``models`` with masks, in the order of ``attention_entries``."""
    found = [info for info in models if info.architecture in ARCHITECTURES]
    return sorted(found, key=lambda info: (info.for_comparison, info.architecture != "gra_net"))
