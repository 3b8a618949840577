"""The maps of a face that can be shown, and their captions: masks of blocks, and saliency,
which is never called a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender_core.evaluation.report_types import CENTRE
from agegender_core.explain.attention_images import block_title
from ui.attention import query_params as link
from ui.attention.figures import FLAT, limits
from ui.attention.session import Subject

if TYPE_CHECKING:
    from agegender_core.explain.attention import BlockMaps

SALIENCY = {"grad_cam": "Grad-CAM", "occlusion": "Occlusion"}
CENTRE_TITLE = "Crop centre"


@dataclass(frozen=True, eq=False)
class Layer:
    """A map to show: ``values`` (h, w), for a mask those of the chosen ``view`` of its
    ``block``. ``channel``: where one is chosen. ``effect``: what the mask changes, not its values.
    """

    name: str
    title: str
    values: np.ndarray
    view: str
    block: BlockMaps | None = None
    channel: int | None = None
    effect: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether the values hardly differ over the face; of an effect, whether there is hardly
        any.
        """
        return bool((self.values.max() if self.effect else np.ptp(self.values)) < FLAT)

    @property
    def about(self) -> str:
        """What the map is, in a few words."""
        return (
            f"{self.title}: saliency, not its own mask"
            if self.block is None
            else f"{self.title}, mask: {self.view}"
        )


def names(subject: Subject) -> list[str]:
    """What can be looked at: the blocks with masks, then the ways of asking from outside."""
    return [*blocks(subject), *SALIENCY]


def blocks(subject: Subject) -> list[str]:
    """Names of the network's blocks; none for a network without masks."""
    return [block.name for block in subject.maps().blocks] if subject.own_masks else []


def title(name: str) -> str:
    """«Block 1» for «attention1», «Decade, block 1» for «decade.attention1», «Block 1: effect» for
    «attention1.effect», «Grad-CAM» for «grad_cam».
    """
    if name == CENTRE:
        return CENTRE_TITLE
    return SALIENCY.get(name) or block_title(name)


def values_of(block: BlockMaps, view: str) -> np.ndarray:
    """(h, w) of the whole block, by the key of ``VIEWS``; what the mask changes where that is
    of no whole block.
    """
    known = {"mean": block.mean, "max": block.maximum, "deviation": block.deviation}
    return known.get(view, block.effect)()


def layer(subject: Subject, name: str) -> Layer:
    """The map called ``name`` as the settings ask for it."""
    if name in SALIENCY:
        return Layer(
            name,
            title(name),
            subject.saliency(name, link.get("target")),
            f"for the {link.get('target')}",
        )
    block = subject.maps().block(name)
    count, view = len(block.mask), link.get("view")
    if view == "channel":
        channel = link.get("channel")
        if channel is None or channel >= count:
            channel = int(block.by_activity()[0])
        return Layer(
            name, title(name), block.mask[channel], f"channel {channel} of {count}", block, channel
        )
    values = values_of(block, view)
    if view == "effect":
        words = f"effect, mean over {count} channels"
        return Layer(name, title(name), values, words, block, effect=True)
    words = {"max": "maximum over", "deviation": "mean deviation of"}.get(view, "mean over")
    return Layer(name, title(name), values, f"{words} {count} channels", block)


def around(shown: Layer) -> list[tuple[str, np.ndarray, tuple[float, float]]]:
    """Trunk, mask and output as (h, w), and the ends of their scales; trunk and output share one:
    that shows what the mask removed.
    """
    block = shown.block
    assert block is not None
    if shown.channel is None:
        trunk, output = np.abs(block.features).mean(axis=0), np.abs(block.output).mean(axis=0)
    else:
        trunk, output = np.abs(block.features[shown.channel]), np.abs(block.output[shown.channel])
    top = (0.0, float(max(trunk.max(), output.max(), 1e-12)))
    return [
        ("Trunk", trunk, top),
        (
            "Effect" if shown.effect else "Mask",
            shown.values,
            limits(shown.values, link.get("scale")),
        ),
        ("Output", output, top),
    ]


def resolution_words(values: np.ndarray, side: int) -> str:
    """«16 × 16 cells: each covers 2 × 2 pixels of the 32 × 32 crop.»"""
    rows, columns = values.shape
    return (
        f"{columns} × {rows} cells: each covers {side / columns:.3g} × {side / rows:.3g} pixels of"
        f" the {side} × {side} crop."
    )


def range_words(shown: Layer) -> str:
    """Between which values the map lies; of a flat mask, that it prefers no place."""
    low, high = float(shown.values.min()), float(shown.values.max())
    if shown.block is None:
        return (
            "Values are relative: 1 is the highest on this face."
            if high > 0
            else "It is empty: nothing on this face speaks for more."
        )
    if shown.effect and shown.is_flat:
        return (
            "No effect: with the same mask made flat, the block's output would be the same to"
            f" within {max(100 * high, 0.1):.1f} % of its average."
        )
    if shown.effect:
        return (
            "Bright where the mask makes the most difference: compared with the same mask made"
            f" flat, the block's output changes by {share_words(shown.values)} of its average."
            " Where the features before the mask are weak, no mask can have an effect."
        )
    if shown.is_flat:
        return (
            f"Flat: {low:.3f} everywhere, give or take {max((high - low) / 2, 0.001):.3f}. This"
            " image prefers no place over another."
        )
    return f"Values from {low:.2f} to {high:.2f}, {shown.values.mean():.2f} on average."


def span_words(values: np.ndarray) -> str:
    """«0.47–0.81»; one number where both ends read the same."""
    digits = 2 if values.max() < 10 else 1 if values.max() < 100 else 0
    low, high = f"{values.min():.{digits}f}", f"{values.max():.{digits}f}"
    return low if low == high else f"{low}–{high}"


def share_words(values: np.ndarray) -> str:
    """«1–131 %», of shares."""
    return f"{100 * values.min():.0f}–{100 * values.max():.0f} %"


def channel_words(block: BlockMaps) -> str:
    """How many of the channels prefer any place."""
    spread = np.ptp(block.mask, axis=(1, 2))  # (C,)
    moving, count = int((spread >= FLAT).sum()), len(spread)
    if moving == 0:
        return (
            f"None of its {count} channels varies over the face: on this face the block does not"
            " choose places at all. What it does, it does channel by channel, letting some through"
            " and holding others back everywhere alike."
        )
    return f"{'All' if moving == count else moving} of its {count} channels vary over the face."
