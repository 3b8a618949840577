"""MTCNN's cascade (Zhang et al. 2016) with facenet-pytorch's three networks and weights, and a loop
of our own around them.

It finds what facenet-pytorch's ``detect_face`` finds, to the last few digits of float32, in half
the time on one thread and less on two (see docs/detection-speed.md). What is different:

* Sums over every rectangle of an image come out of one table of running sums. Pyramid levels and
  all candidates are resized from it at once, exactly, instead of by one pooling call for each.
* Tensors are channels last, where torch's convolutions and maxima of few channels are fast, and
  normalisation and the first PReLU are rearranged (see ``cascade_networks``).
* Boxes that overlap better ones are found by matrix operations, not box by box.
* Images that are searched together, such as close-ups of faces at a border, share the calls of the
  second and third network, and those of the same size the first one's too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from agegender_core.vision.cascade_networks import FirstNet, LaterNet, Weights

CELL, STRIDE = 12, 2
"""Pixels of a side of P-Net's squares, and between them."""
FACTOR = 0.709
"""Side of a pyramid level as a share of the one before."""
THRESHOLDS = (0.6, 0.7, 0.7)
"""Lowest face score that the three networks let through, in [0, 1]."""
RNET, ONET = 24, 48
"""Pixels of a side of the second and third network's input."""
BLOCK = 1024
"""Boxes compared with each other at once: bounds memory on images of thousands of candidates."""
CHUNK = {RNET: 64, ONET: 16}
"""Candidates that go through a network at once: their activations fit into the processor's cache.
"""

FEW = 8
"""So many candidates or more are split in two at least, for two threads."""

Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]


def one_by_one(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the tasks return, called one after the other."""
    return [task() for task in tasks]


class Detections(NamedTuple):
    """``boxes``: (N, 5) left, top, right, bottom in pixels and score; ``points``: (N, 5, 2) x and y
    of the landmarks; the surest first.
    """

    boxes: np.ndarray
    points: np.ndarray


class Cascade:
    """The three networks, ready to run. Immutable and thread-safe. Call it under
    ``torch.inference_mode``.
    """

    def __init__(self, pnet: Weights, rnet: Weights, onet: Weights) -> None:
        self.pnet, self.rnet, self.onet = FirstNet(pnet), LaterNet(rnet), LaterNet(onet)

    def __call__(
        self,
        images: Sequence[np.ndarray],
        min_faces: Sequence[int],
        together: Together = one_by_one,
    ) -> list[Detections]:
        """Faces in each of the (H, W, 3) uint8 RGB images, which may differ in size; of
        ``min_faces`` pixels at least, one for each.

        ``together``: calls functions, at the same time where it can, and gives what they return in
        their order. The answer does not depend on it.
        """
        if not images:
            return []
        tables = together([partial(running_sums, image) for image in images])
        boxes, owners = self._propose(tables, min_faces, together)
        for net, size, threshold in (
            (self.rnet, RNET, THRESHOLDS[1]),
            (self.onet, ONET, THRESHOLDS[2]),
        ):
            if not len(boxes):
                break
            boxes, owners, shifts, points = self._judge(
                net, size, threshold, tables, boxes, owners, together
            )
            if size == RNET:
                kept = _keep_by_image(boxes, owners)
                boxes, owners = _square(_shifted(boxes[kept], shifts[kept])), owners[kept]
            else:
                boxes = _shifted(boxes, shifts)
                kept = _keep_by_image(boxes, owners, smaller=True)
                boxes, owners, points = boxes[kept], owners[kept], points[kept]
        else:
            return [Detections(boxes[owners == n], points[owners == n]) for n in range(len(images))]
        return [
            Detections(np.empty((0, 5), np.float32), np.empty((0, 5, 2), np.float32))
            for _ in images
        ]

    def _propose(
        self, tables: list[np.ndarray], min_faces: Sequence[int], together: Together
    ) -> tuple[np.ndarray, np.ndarray]:
        """P-Net's candidates of all images: (N, 5) squares with scores, and (N,) the numbers of
        their images.
        """
        alike: dict[tuple[int, int, int], list[int]] = {}
        for number, (table, min_face) in enumerate(zip(tables, min_faces, strict=True)):
            alike.setdefault((table.shape[0] - 1, table.shape[1] - 1, min_face), []).append(number)
        levels = [(level, members) for shape, members in alike.items() for level in pyramid(*shape)]
        levels.sort(key=lambda one: -one[0].pixels * len(one[1]))
        tasks = [
            partial(self._search_level, level, [tables[number] for number in members])
            for level, members in levels
        ]
        found: dict[int, list[tuple[float, np.ndarray]]] = {
            number: [] for number in range(len(tables))
        }
        for (level, members), parts in zip(levels, together(tasks), strict=True):
            for number, boxes in zip(members, parts, strict=True):
                found[number].append((level.scale, boxes))
        proposals = [
            _merged([boxes for _, boxes in sorted(parts, key=lambda one: -one[0])])
            for parts in found.values()
        ]
        owners = np.repeat(np.arange(len(tables)), [len(part) for part in proposals])
        return np.concatenate(proposals), owners

    def _search_level(self, level: Level, tables: list[np.ndarray]) -> list[np.ndarray]:
        """P-Net's candidates at one level of images of one size, (N, 9) each, the best of those
        that overlap.
        """
        found = []
        for scores, shifts in self.pnet(np.stack([level.shrink(table) for table in tables])):
            boxes = _cells(scores, shifts, level.scale)
            found.append(boxes[keep(boxes[:, :4], boxes[:, 4], 0.5)])
        return found

    def _judge(
        self,
        net: LaterNet,
        size: int,
        threshold: float,
        tables: list[np.ndarray],
        boxes: np.ndarray,
        owners: np.ndarray,
        together: Together,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The candidates that ``net`` lets through, with its scores: boxes, owners, (N, 4) shifts
        and (N, 5, 2) points, if it has any.
        """
        squares, there = _squares(tables, boxes, owners)
        boxes, owners, squares = boxes[there], owners[there], squares[there]
        if not len(boxes):
            return boxes, owners, boxes[:, :4], np.empty((0, 5, 2), np.float32)
        count = max(-(-len(boxes) // CHUNK[size]), 1 + (len(boxes) >= FEW))
        ends = [number * len(boxes) // count for number in range(count + 1)]
        parts = [slice(start, end) for start, end in pairwise(ends)]
        tasks = [
            lambda part=part: net(_crops(tables, squares[part], owners[part], size))
            for part in parts
        ]
        # Score, four shifts, and ten places of landmarks where the network has them.
        answers = np.concatenate(together(tasks))
        passed = answers[:, 0] > threshold
        answers = answers[passed]
        boxes = np.concatenate([boxes[passed, :4], answers[:, :1]], axis=1)
        sides = boxes[:, 2:4] - boxes[:, :2] + 1
        places = (
            answers[:, 5:].reshape(len(boxes), 2, (answers.shape[1] - 5) // 2).transpose(0, 2, 1)
        )
        points = sides[:, None] * places + boxes[:, None, :2] - 1
        return boxes, owners[passed], answers[:, 1:5], points


def running_sums(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (H + 1, W + 1, 3) int32: sums over all pixels above and to the left. Exact
    up to 8 megapixels.
    """
    high, wide, channels = image.shape
    table = np.empty((high + 1, wide + 1, channels), np.int32)
    table[0], table[:, 0] = 0, 0
    # First down, then to the right: less than half the time of the other order, which converts
    # every pixel twice.
    for row in range(high):
        np.add(table[row, 1:], image[row], out=table[row + 1, 1:])
    return np.cumsum(table, axis=1, out=table)


def _bins(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where torch's adaptive pooling has its windows: (count,) first pixels and ends."""
    places = np.arange(count)
    return places * length // count, -(-(places + 1) * length // count)


class Level(NamedTuple):
    """One level of the pyramid: its scale, and windows of rows and columns with the shares that
    their sums are multiplied by: (h,) and (w, 1).
    """

    scale: float
    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray
    row_shares: np.ndarray
    column_shares: np.ndarray

    @property
    def pixels(self) -> int:
        """Of the shrunk image."""
        return len(self.top) * len(self.left)

    def shrink(self, table: np.ndarray) -> np.ndarray:
        """(h, w, 3) float32 means of 0 to 255 from an image's running sums."""
        rows = table[self.bottom]
        rows -= table[self.top]
        sums = np.take(rows, self.right, axis=1)
        sums -= np.take(rows, self.left, axis=1)
        shares = self.row_shares[:, None, None] * self.column_shares
        return np.multiply(sums, shares, dtype=np.float32, casting="unsafe")


@lru_cache(maxsize=256)
def pyramid(high: int, wide: int, min_face: int) -> tuple[Level, ...]:
    """The levels of an image of ``high`` x ``wide`` pixels in which faces of ``min_face`` pixels
    are as large as P-Net wants them.
    """
    scale, shortest, levels = CELL / min_face, min(high, wide) * (CELL / min_face), []
    while shortest >= CELL:
        rows, columns = _bins(high, int(high * scale + 1)), _bins(wide, int(wide * scale + 1))
        shares = [(1 / (ends - starts)).astype(np.float32) for starts, ends in (rows, columns)]
        levels.append(Level(scale, *rows, *columns, shares[0], shares[1][:, None]))
        scale, shortest = scale * FACTOR, shortest * FACTOR
    return tuple(levels)


def _squares(
    tables: list[np.ndarray], boxes: np.ndarray, owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) int64 left, top, right, bottom of the candidates in whole pixels, clipped to their
    images, and (N,) bool: what has pixels.
    """
    left, top, right, bottom = np.trunc(boxes[:, :4]).astype(np.int64).T
    limits = np.array([table.shape[:2] for table in tables])[owners] - 1  # (N, 2)
    left, top = np.maximum(left, 1) - 1, np.maximum(top, 1) - 1
    right, bottom = np.minimum(right, limits[:, 1]), np.minimum(bottom, limits[:, 0])
    return np.stack([left, top, right, bottom], axis=1), (right > left) & (bottom > top)


def _crops(
    tables: list[np.ndarray], squares: np.ndarray, owners: np.ndarray, size: int
) -> np.ndarray:
    """(N, size, size, 3) float32 means of the pixels in (N, 4) ``squares``; the rows of each image
    stand together.
    """
    crops = np.empty((len(squares), size, size, 3), np.float32)
    places = np.arange(size)
    for number in np.unique(owners):
        mine, table = np.flatnonzero(owners == number), tables[number]
        left, top, right, bottom = squares[mine].T[..., None]
        x0, x1 = (
            left + places * (right - left) // size,
            left - (-(places + 1) * (right - left) // size),
        )
        y0, y1 = (
            top + places * (bottom - top) // size,
            top - (-(places + 1) * (bottom - top) // size),
        )
        flat, pitch = table.reshape(-1, 3), table.shape[1]
        (above, below), (before, after) = (
            ((rows * pitch)[:, :, None] for rows in (y0, y1)),
            (x0[:, None], x1[:, None]),
        )
        sums = np.take(
            flat, below + after, axis=0, mode="clip"
        )  # «clip» skips the bounds check: the indices are valid
        sums -= np.take(flat, above + after, axis=0, mode="clip")
        sums -= np.take(flat, below + before, axis=0, mode="clip")
        sums += np.take(flat, above + before, axis=0, mode="clip")
        areas = (y1 - y0)[:, :, None] * (x1 - x0)[:, None]
        share = (1 / areas).astype(np.float32)[..., None]
        np.multiply(
            sums, share, out=crops[mine[0] : mine[-1] + 1], dtype=np.float32, casting="unsafe"
        )
    return crops


def _cells(scores: np.ndarray, shifts: np.ndarray, scale: float) -> np.ndarray:
    """(h, w) scores and (h, w, 4) shifts of P-Net to (N, 9): the squares in which it sees
    a face, score, and shifts.
    """
    rows, columns = np.nonzero(scores >= np.float32(THRESHOLDS[0]))
    corners = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
    step = np.float32(scale)
    first, last = np.floor((corners + 1) / step), np.floor((corners + CELL) / step)
    return np.concatenate([first, last, scores[rows, columns, None], shifts[rows, columns]], axis=1)


def _merged(parts: list[np.ndarray]) -> np.ndarray:
    """Candidates of one image from all levels, (N, 9) each, to (M, 5) squares with scores: the best
    of those that overlap, shifted.
    """
    boxes = np.concatenate(parts) if parts else np.empty((0, 9), np.float32)
    boxes = boxes[keep(boxes[:, :4], boxes[:, 4], 0.7)]
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return _square(np.concatenate([boxes[:, :4] + boxes[:, 5:] * sides, boxes[:, 4:5]], axis=1))


def _shifted(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2] + 1, 2)
    return np.concatenate([boxes[:, :4] + shifts * sides, boxes[:, 4:5]], axis=1)


def _square(boxes: np.ndarray) -> np.ndarray:
    """The same centres and scores with the longer side for both."""
    sides = boxes[:, 2:4] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    first = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.concatenate([first, first + longest, boxes[:, 4:5]], axis=1)


def _keep_by_image(boxes: np.ndarray, owners: np.ndarray, smaller: bool = False) -> np.ndarray:
    """Indices of the (N, 5) ``boxes`` that remain where those of each image suppress each other."""
    parts = [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
    kept = [part[keep(boxes[part, :4], boxes[part, 4], 0.7, smaller=smaller)] for part in parts]
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def keep(
    boxes: np.ndarray, scores: np.ndarray, most: float, *, smaller: bool = False
) -> np.ndarray:
    """Greedy non-maximum suppression: (N, 4) boxes and (N,) scores to the indices kept, the best
    first.

    A box goes if it overlaps a better one that stays by more than ``most``: their intersection over
    their union or, with ``smaller``, over the smaller of the two, where boxes are a pixel larger,
    as in the original.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[np.ndarray] = []
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        for earlier in kept:
            block = block[~_overlapping(boxes[earlier], boxes[block], most, smaller).any(axis=0)]
        kept.append(
            block[_best(np.triu(_overlapping(boxes[block], boxes[block], most, smaller), 1))]
        )
    return np.concatenate(kept) if kept else order


def _best(worse: np.ndarray) -> np.ndarray:
    """(N,) bool: which boxes stay, the best first. ``worse[i, j]``: j goes if i stays; j > i.

    The first box stays for sure. With every round at least one more is decided for good, and most
    are decided in a few rounds.
    """
    reach = torch.from_numpy(worse.T.astype(np.float32))
    stays = torch.ones(len(worse))
    while True:
        now = (reach @ stays == 0).float()
        if torch.equal(now, stays):
            return now.numpy() > 0
        stays = now


def _overlapping(one: np.ndarray, other: np.ndarray, most: float, smaller: bool) -> np.ndarray:
    """(N, M) bool: which of ``one`` (N, 4) and ``other`` (M, 4) overlap by more than ``most``."""
    more = np.float32(1 if smaller else 0)
    overlap = None
    areas = []
    for axis in (0, 1):
        low, high = (
            np.maximum(one[:, None, axis], other[None, :, axis]),
            np.minimum(one[:, None, axis + 2], other[None, :, axis + 2]),
        )
        length = np.maximum(high - low + more, 0)
        overlap = length if overlap is None else overlap * length
    for boxes in (one, other):
        areas.append((boxes[:, 2] - boxes[:, 0] + more) * (boxes[:, 3] - boxes[:, 1] + more))
    if smaller:
        return overlap > np.float32(most) * np.minimum(areas[0][:, None], areas[1][None])
    return overlap > np.float32(most) * (areas[0][:, None] + areas[1][None] - overlap)
