"""``datasets check PATH``: which face dataset lies there, what it contains, what is wrong with it.
Heavy imports wait for the call.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError

if TYPE_CHECKING:
    from agegender_core.datasets.readers import LoadedDataset, Skip
    from agegender_core.datasets.readers.validation import ImageCheck

SHOWN = 3
"""How many files are named for each reason."""

datasets_app = typer.Typer(
    help="Face datasets on disk: what is there and what is wrong with it.", no_args_is_help=True
)


@datasets_app.callback()
def main() -> None:
    """Face datasets on disk: what is there and what is wrong with it."""


@datasets_app.command("check")
def check_command(
    path: Annotated[str, typer.Argument(help="Folder or table of a dataset, or hub:owner/name.")],
    name: Annotated[
        str | None, typer.Option("--set", help="Its layout; default: detected.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything as JSON, every file of every reason.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Open every image instead of a sample of 200.")
    ] = False,
) -> None:
    """Report which dataset lies at PATH, count its labels, and list rows skipped and images missing
    or damaged.

    Exit code 1 where the dataset cannot be read, is empty, or has images missing or damaged.
    """
    from agegender_core.datasets.readers import find_layout, layout_named, load_dataset
    from agegender_core.datasets.readers.validation import check_images, summarise

    try:
        layout, confidence = (layout_named(name), None) if name else find_layout(path)
        loaded = load_dataset(path, layout.name)
        images = check_images(loaded, deep=deep)
    except AgeGenderError as error:
        raise fail(error) from error
    report = {
        "set": loaded.name,
        "layout": layout.name,
        "title": layout.title,
        "official": layout.official,
        "confidence": confidence,
        "root": loaded.root,
        **summarise(loaded),
    }
    if as_json:
        typer.echo(json.dumps(report | _details(loaded, images), indent=1))
    else:
        text = "\n".join([*_head(report), *_problems(loaded, images)])
        typer.echo(text.encode(errors="backslashreplace").decode())
    if images.missing or images.unreadable or not loaded.records:
        raise typer.Exit(1)


def _details(loaded: LoadedDataset, images: ImageCheck) -> dict[str, Any]:
    return {
        "notes": list(loaded.notes),
        "skipped": [skip._asdict() for skip in loaded.skipped],
        "incomplete": [skip._asdict() for skip in loaded.incomplete],
        "pictures": {
            "opened": images.opened,
            "missing": list(images.missing),
            "unreadable": [skip._asdict() for skip in images.unreadable],
        },
    }


def _head(report: dict[str, Any]) -> list[str]:
    """What the dataset is and what it contains, one line a label."""
    sure = "" if report["confidence"] in (None, 1.0) else f", confidence {report['confidence']:.2f}"
    years = report["age_years"]
    labels = {
        "age": f"{report['age']:,} in years, {years[0]} to {years[1]}" if years else "",
        "age range": _listed(report["age_range"]),
        "gender": _listed(report["gender"]),
        "race": _listed(report["race"]),
        "people": f"{report['people']:,}" if report["people"] else "",
        "landmarks": f"{report['landmarks']:,}" if report["landmarks"] else "",
        "splits": _listed(report["splits"]),
    }
    official = f"; the official dataset has {report['official']}" if report["official"] else ""
    lines = [
        f"{report['title']} ({report['layout']}{sure}) in {report['root']}",
        f"  {'images':10} {report['records']:,} with labels{official}",
    ]
    return lines + [f"  {name:10} {text or 'none'}" for name, text in labels.items()]


def _problems(loaded: LoadedDataset, images: ImageCheck) -> list[str]:
    from agegender_core.datasets.readers.base import Skip

    missing = [Skip(file, "no such file") for file in images.missing]
    lines = [f"note: {note}" for note in loaded.notes]
    lines += _group("rows skipped", loaded.skipped)
    lines += _group("labels missing in rows that were read", loaded.incomplete)
    lines += _group("images missing", missing)
    lines += _group(f"images damaged or refused, of {images.opened:,} opened", images.unreadable)
    here = len(loaded.records) - len(missing)
    return [
        *lines,
        (
            f"{images.opened:,} of {here:,} images"
            f" opened{'' if images.opened == here else ' (--deep opens all)'}"
        ),
    ]


def _group(title: str, skips: Sequence[Skip]) -> list[str]:
    from agegender_core.datasets.readers.validation import by_reason

    if not skips:
        return []
    lines = [f"{title}: {len(skips):,}"]
    for reason, files in by_reason(skips).items():
        more = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
        lines.append(f"  {len(files):6,}  {reason}: {', '.join(files[:SHOWN])}{more}")
    return lines


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
