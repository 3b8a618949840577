"""Attention masks as images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agegender_core.evaluation.report_types import DEVIATION, EFFECT, TRUNK

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from agegender_core.explain.attention import BlockMaps

VIRIDIS = (
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
)
"""Ten even steps of viridis (van der Walt and Smith, 2015, CC0), perceptually uniform and safe for
colour-blind people.
"""

SIDE = 384
"""Pixels of an image's side, roughly: the crop is enlarged a whole number of times."""

LINE = 18
"""Pixels a line of text."""

OPACITY = 0.6


def block_image(crop: Image.Image, block: BlockMaps, effect: bool = False) -> Image.Image:
    """RGB: the block's mean mask over the enlarged crop in cells as coarse as it is, its name
    above and its scale below. ``effect``: what the mask changes instead.

    Colours run from the lowest to the highest value of this map, which the scale names.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    mask = block.effect() if effect else block.mean()  # (h, w)
    side = crop.width * max(1, SIDE // crop.width)
    low, high = float(mask.min()), float(mask.max())
    colours = viridis((mask - low) / ((high - low) or 1))  # (h, w, 3)
    cells = Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (side, side + 3 * LINE), "white")
    canvas.paste(
        Image.blend(crop.resize((side, side), Image.Resampling.NEAREST), cells, OPACITY), (0, LINE)
    )
    canvas.paste(
        Image.fromarray(viridis(np.linspace(0, 1, side)[None])).resize((side, LINE // 2)),
        (0, side + LINE + LINE // 2),
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    gate = "no gate" if block.gate is None else f"gate {block.gate:.2f}"
    words = (
        f"{block_title(block.name)}: {mask.shape[1]}x{mask.shape[0]},"
        f" {'effect, ' if effect else ''}mean of {len(block.mask)} channels, {gate}"
    )
    sizes = (ImageFont.load_default(size) for size in (13, 12, 11, 10, 9, 8))
    fitting = next((one for one in sizes if draw.textlength(words, one) <= side - 4), font)
    draw.text((2, LINE / 2), words, "black", fitting, anchor="lm")
    draw.text((2, side + 2 * LINE), f"{low:.3f}", "black", font)
    draw.text((side - 2, side + 2 * LINE), f"{high:.3f}", "black", font, anchor="ra")
    return canvas


def block_title(name: str) -> str:
    """A block's name for people: «Block 1» for «attention1», «Decade, block 1» for
    «decade.attention1», «Block 1: effect» for «attention1.effect».
    """
    for part in (DEVIATION, EFFECT, TRUNK):
        if name.endswith(part):
            return f"{block_title(name.removesuffix(part))}: {part[1:]}"
    model, _, block = name.rpartition(".")
    words = block.replace("attention", "block ")
    return f"{model.capitalize()}, {words}" if model else words[:1].upper() + words[1:]


def viridis(values: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1] to (h, w, 3) uint8 colours."""
    import numpy as np

    steps = np.array(
        [[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in VIRIDIS]
    )  # (10, 3)
    places = np.linspace(0, 1, len(steps))
    return (
        np.stack([np.interp(values, places, steps[:, channel]) for channel in range(3)], axis=-1)
        .round()
        .astype(np.uint8)
    )
