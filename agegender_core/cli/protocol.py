"""``protocol``: published protocols with refitted light models. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError
from agegender_core.settings import reports_dir

if TYPE_CHECKING:
    from tqdm import tqdm


def protocol(
    name: Annotated[
        str,
        typer.Argument(
            help=(
                "leave_one_person_out, five_folds, stratified_age_bins, official_train_val or"
                " our_splits."
            )
        ),
    ],
    set_name: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="Which dataset, such as fgnet, adience, fairface or afad."
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option("--weights", "-w", help="Which weights; default: the manifest's default."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the dataset lies in its official layout, or hub:owner/name; default: ours."
        ),
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Save the numbers in reports/.")] = False,
    reports: Annotated[
        Path | None,
        typer.Option(help="Where to write.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
) -> None:
    """Run a published protocol: the network stays as it is, light models on its features are
    refitted for every fold.
    """
    from tqdm import tqdm

    from agegender_core.evaluation.linear_probe import protocol_text, run_protocol
    from agegender_core.inference.model_zoo import find_weights

    bars: dict[str, tqdm] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            for bar in bars.values():
                bar.close()
            bars[stage] = tqdm(desc=stage, total=total)
        bars[stage].update(done - bars[stage].n)

    try:
        found = run_protocol(
            find_weights(weights),
            name,
            set_name.lower(),
            data,
            (reports or reports_dir()) if save else None,
            tick,
        )
    except AgeGenderError as error:
        raise fail(error) from error
    finally:
        for bar in bars.values():
            bar.close()
    typer.echo(protocol_text(found))
