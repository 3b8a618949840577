"""Makes torchvision importable beside a CPU-only torch.

torchvision's registry wheel carries operators linked against CUDA. Beside a CPU build of torch they
do not load, and ``import torchvision`` dies on the missing ``torchvision::nms``. facenet-pytorch
needs nothing of torchvision but that one operator, so it is defined here in numpy. On a machine
where the native operators load (a matched pair) nothing is touched.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import numpy as np
import torch

_LOCK = threading.Lock()
_LIBRARY: list[torch.library.Library] = []


def ensure_torchvision() -> None:
    """Import torchvision, with a stand-in for its ``nms`` where the native operators do not load.

    Raises ``ImportError`` where torchvision is not installed.
    """
    with _LOCK:
        if _LIBRARY:
            return
        if _native_operators_load():
            import torchvision

            return
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", nms, "CPU")
        _LIBRARY.append(library)
        import torchvision.extension

        torchvision.extension._has_ops = lambda: True


def _native_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed: pip install -r requirements.txt")
    for path in sorted(Path(spec.origin).parent.glob("_C*.so")) + sorted(
        Path(spec.origin).parent.glob("_C*.pyd")
    ):
        try:
            torch.ops.load_library(path)
        except OSError:
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression: (N, 4) boxes x0, y0, x1, y1 and (N,) scores to indices kept,
    best first.
    """
    boxes = dets.detach().numpy().astype(np.float64)  # (N, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores.detach().numpy(), kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        corner0 = np.maximum(boxes[best, :2], boxes[rest, :2])
        corner1 = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.clip(corner1 - corner0, 0, None).prod(axis=1)
        union = areas[best] + areas[rest] - overlap
        order = rest[overlap <= iou_threshold * union]
    return torch.tensor(kept, dtype=torch.long)
