"""``attention``: the masks of one face as images and numbers. ``attention-report``: those of a
whole test split.

Heavy imports happen inside, so that ``--help`` is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agegender_core.cli.errors import fail
from agegender_core.cli.predict import make_folder
from agegender_core.errors import AgeGenderError
from agegender_core.evaluation.report_types import EFFECT
from agegender_core.explain.attention_images import block_image
from agegender_core.settings import reports_dir

if TYPE_CHECKING:
    import numpy as np

    from agegender_core.evaluation.report_types import AttentionReport
    from agegender_core.explain.attention import AttentionMaps


def attention(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="Image with a face.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where to write; files of the same names are replaced.",
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", "-w", metavar="NAME", help="Weights with masks. Default: the first."
        ),
    ] = None,
    face: Annotated[
        int, typer.Option("--face", help="Which face: 0 is the largest, 1 the next.", min=0)
    ] = 0,
    npz: Annotated[
        bool,
        typer.Option("--npz", help="Also write raw masks, effects and features to masks.npz."),
    ] = False,
) -> None:
    """Show a network's attention: two images for each attention block, the mean of its mask and
    what the mask changes, and the answer with gates and shapes as JSON.

    Exit code 1 where the image, its faces or the weights cannot be used; 2: wrong usage.
    """
    from agegender_core.explain.attention import attention_maps, save_npz
    from agegender_core.output.files import write_json
    from agegender_core.settings import read_settings
    from agegender_core.vision.image_io import load_image

    make_folder(output, "--output")
    try:
        maps = attention_maps(load_image(photo, limits=read_settings().image_limits), weights, face)
    except AgeGenderError as error:
        raise fail(error) from error
    try:
        written = []
        for block in maps.blocks:
            for suffix, effect in (("", False), (EFFECT, True)):
                written.append(output / f"{block.name}{suffix}.png")
                block_image(maps.crop, block, effect).save(written[-1])
        written.append(output / "attention.json")
        write_json(written[-1], described(maps, photo.name), ascii_only=False)
        if npz:
            written.append(output / "masks.npz")
            save_npz(maps, written[-1])
    except OSError as error:
        raise typer.BadParameter(
            f"{output} cannot be written: {error.strerror}", param_hint="--output"
        ) from error
    for path in written:
        typer.echo(f"wrote {path}")


def described(maps: AttentionMaps, file: str) -> dict[str, Any]:
    """JSON-ready mapping: the answer, and for each block its shape (C, h, w), gate, the range of
    its mean mask and of what the mask changes.
    """
    blocks = [
        {
            "name": block.name,
            "shape": list(block.mask.shape),
            "gate": None if block.gate is None else round(block.gate, 4),
            "gate_words": block.gate_words(),
            "mean_mask": _range(block.mean()),
            "effect": _range(block.effect()),
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


def _range(values: np.ndarray) -> dict[str, float]:
    return {
        "lowest": round(float(values.min()), 4),
        "highest": round(float(values.max()), 4),
    }


def attention_report(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="Weights by name.")],
    set_name: Annotated[str, typer.Option("--set", "-s", help="Whose test split.")] = "utkface",
    limit: Annotated[
        int, typer.Option(help="Images for the curves; masks are averaged over all.", min=1)
    ] = 200,
    reports: Annotated[
        Path | None,
        typer.Option(help="Where to write.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
) -> None:
    """Average masks over a test split, and measure by deletion and insertion whether masks and
    saliency beat a random map.
    """
    from tqdm import tqdm

    from agegender_core.explain.attention_report import attention_report as run_report
    from agegender_core.inference.model_zoo import find_weights

    reports = reports or reports_dir()
    bars: dict[str, tqdm] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = tqdm(desc=stage, total=total, unit="image")
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


def report_lines(report: AttentionReport) -> list[str]:
    """An attention report's result for each map, for the screen."""
    lines = [
        f"{report.weights} on {report.set} {report.split}: masks over {report.n:,}, curves over"
        f" {report.curves_n:,}"
    ]
    for target, maps in report.targets.items():
        for name, kinds in maps.items():
            for kind, found in kinds.items():
                area, verdict = found.area, found.verdict or "the map to beat"
                lines.append(
                    f"{target}, {name}, {kind} area {area.value:.3f} ({area.low:.3f} to"
                    f" {area.high:.3f}): {verdict}"
                )
    return lines
