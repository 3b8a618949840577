"""``attention``: the masks of one face as pictures and numbers. ``attention-report``: those of a whole test split.

Heavy imports happen inside, so that ``--help`` is quick.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agegender_core.commands import ROOT, fail
from agegender_core.errors import AgeGenderError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from agegender_core.attention import AttentionMaps, BlockMaps

VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
"""Ten even steps of viridis (van der Walt and Smith, 2015, CC0), perceptually uniform and safe for colour-blind people."""
SIDE = 384
"""Pixels of a picture's side, roughly: the crop is enlarged a whole number of times."""
LINE = 18
"""Pixels a line of text."""
OPACITY = 0.6


def attention(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="Picture with a face.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where to write; files of the same names are replaced.")],
    weights: Annotated[str | None, typer.Option("--weights", "-w", metavar="NAME", help="Weights with masks. Default: the first.")] = None,
    face: Annotated[int, typer.Option("--face", help="Which face: 0 is the largest, 1 the next.", min=0)] = 0,
    npz: Annotated[bool, typer.Option("--npz", help="Also write all raw masks and features to masks.npz.")] = False,
) -> None:
    """Show where a network looks: one picture for each attention block, and the answer with gates and shapes as JSON.

    Exit code 1 where the picture, its faces or the weights cannot be used; 2: wrong usage.
    """
    from agegender_core.attention import attention_maps, save_npz

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be made a folder: {error.strerror}", param_hint="--output") from error
    try:
        maps = attention_maps(photo, weights, face)
    except AgeGenderError as error:
        raise fail(error) from error
    try:
        written = []
        for block in maps.blocks:
            written.append(output / f"{block.name}.png")
            block_picture(maps.crop, block).save(written[-1])
        written.append(output / "attention.json")
        written[-1].write_text(json.dumps(described(maps, photo.name), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if npz:
            written.append(output / "masks.npz")
            save_npz(maps, written[-1])
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from error
    for path in written:
        typer.echo(f"wrote {path}")


def described(maps: AttentionMaps, file: str) -> dict[str, Any]:
    """JSON-ready mapping: the answer, and for each block its shape (C, h, w), gate and the range of its mean mask."""
    blocks = [
        {
            "name": block.name,
            "shape": list(block.mask.shape),
            "gate": None if block.gate is None else round(block.gate, 4),
            "gate_words": block.gate_words(),
            "mean_mask": {"lowest": round(float(block.mean().min()), 4), "highest": round(float(block.mean().max()), 4)},
        }
        for block in maps.blocks
    ]
    return {
        "file": file,
        "weights": maps.weights,
        "face": None if maps.face is None else maps.face.as_dict(),
        "age": maps.age.as_dict(),
        "gender": None if maps.gender is None else maps.gender.as_dict(),
        "crop": maps.crop.width,
        "blocks": blocks,
    }


def block_picture(crop: Image.Image, block: BlockMaps) -> Image.Image:
    """RGB: the block's mean mask over the enlarged crop in blocks as coarse as it is, its name above and its scale below.

    Colours run from the lowest to the highest value of this mask, which the scale names.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    mask = block.mean()  # (h, w)
    side = crop.width * max(1, SIDE // crop.width)
    low, high = float(mask.min()), float(mask.max())
    colours = viridis((mask - low) / ((high - low) or 1))  # (h, w, 3)
    cells = Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (side, side + 3 * LINE), "white")
    picture.paste(Image.blend(crop.resize((side, side), Image.Resampling.NEAREST), cells, OPACITY), (0, LINE))
    picture.paste(Image.fromarray(viridis(np.linspace(0, 1, side)[None])).resize((side, LINE // 2)), (0, side + LINE + LINE // 2))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    gate = "no gate" if block.gate is None else f"gate {block.gate:.2f}"
    draw.text((2, 1), f"{block.name}: {mask.shape[1]}x{mask.shape[0]}, mean of {len(block.mask)} channels, {gate}", "black", font)
    draw.text((2, side + 2 * LINE), f"{low:.3f}", "black", font)
    draw.text((side - 2, side + 2 * LINE), f"{high:.3f}", "black", font, anchor="ra")
    return picture


def viridis(values: np.ndarray) -> np.ndarray:
    """(h, w) in [0, 1] to (h, w, 3) uint8 colours."""
    import numpy as np

    steps = np.array([[int(colour[start : start + 2], 16) for start in (1, 3, 5)] for colour in VIRIDIS])  # (10, 3)
    places = np.linspace(0, 1, len(steps))
    return np.stack([np.interp(values, places, steps[:, channel]) for channel in range(3)], axis=-1).round().astype(np.uint8)


def attention_report(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="Weights by name.")],
    set_name: Annotated[str, typer.Option("--set", "-s", help="Whose test split.")] = "utkface",
    limit: Annotated[int, typer.Option(help="Pictures for the curves; masks are averaged over all.", min=1)] = 200,
    reports: Annotated[Path, typer.Option(help="Where to write.")] = ROOT / "reports",
) -> None:
    """Average masks over a test split, and measure by deletion and insertion whether masks and saliency beat a random map."""
    from tqdm import tqdm

    from agegender_core.evaluation.attention_report import attention_report as run_report
    from agegender_core.weights import find_weights

    bars: dict[str, tqdm] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = tqdm(desc=stage, total=total, unit="picture")
        bars[stage].update(done - bars[stage].n)

    try:
        report = run_report(find_weights(weights), set_name, reports, limit, tick)
    except AgeGenderError as error:
        raise fail(error) from error
    finally:
        for bar in bars.values():
            bar.close()
    for line in report_lines(report):
        typer.echo(line)
    for suffix in ("json", "npz"):
        typer.echo(f"wrote {reports / weights / 'attention' / f'{set_name}.{suffix}'}")


def report_lines(report: dict[str, Any]) -> list[str]:
    """What an attention report says of each map, for the screen."""
    lines = [f"{report['weights']} on {report['set']} {report['split']}: masks over {report['n']:,}, curves over {report['curves_n']:,}"]
    for target, maps in report["targets"].items():
        for name, kinds in maps.items():
            for kind, found in kinds.items():
                area, verdict = found["area"], found.get("verdict", "the map to beat")
                lines.append(f"{target}, {name}, {kind} area {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}): {verdict}")
    return lines
