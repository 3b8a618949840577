"""Table III again: sizes by hand, turns in order, a report that keeps claims apart. No time is
asserted: machines are noisy.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from agegender_core.benchmarks import baselines
from agegender_core.benchmarks.baselines import (
    RIVALS,
    AdienceNet,
    CaffeNet,
    Rival,
    googlenet,
    multitask_cnn,
    ready,
    run_rivals,
    time_in_turn,
    vgg16,
)
from agegender_core.evaluation.published_results import OURS
from agegender_core.evaluation.report_store import read_rivals
from agegender_core.evaluation.report_types import RivalRow, RivalsReport
from agegender_core.inference.forward import run_network
from agegender_core.models import count_parameters
from agegender_core.publishing.comparison_tables import rivals_table

KEYS = {
    "name",
    "parameters",
    "input",
    "median_ms",
    "p90_ms",
    "ratio_to_ours",
    "claimed_parameters",
    "claimed_desktop_s",
    "claimed_mobile_s",
    "note",
}
SMALL = tuple(rival for rival in RIVALS if rival.name in (OURS, "AdienceNet", "CNN-ELM"))


def convolution(cin: int, cout: int, side: int, groups: int = 1) -> int:
    return cin // groups * side * side * cout + cout


@pytest.mark.parametrize(
    ("round_up", "grid", "total"), [(False, 6, 8_859_144), (True, 7, 11_415_048)]
)
def test_adiencenet_by_hand(round_up: bool, grid: int, total: int) -> None:
    network = AdienceNet(8, round_up).eval()
    convolutions = convolution(3, 96, 7) + convolution(96, 256, 5) + convolution(256, 384, 3)
    dense = (384 * grid * grid + 1) * 512 + 513 * 512 + 513 * 8
    assert count_parameters(network) == convolutions + dense == total
    x, sides = torch.zeros(1, 3, 227, 227), []
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            sides.append((x.shape[1], x.shape[2]))
    assert sides == (
        [(96, 28), (256, 14), (384, 7)] if round_up else [(96, 27), (256, 13), (384, 6)]
    )
    assert x.shape == (1, 8)


def test_nine_million_are_claimed_and_come_out() -> None:
    assert abs(count_parameters(AdienceNet(8)) / 9e6 - 1) < 0.02
    assert abs(count_parameters(AdienceNet(2)) / 9e6 - 1) < 0.02


def test_caffenet_by_hand() -> None:
    convolutions = convolution(3, 96, 11) + convolution(96, 256, 5, 2) + convolution(256, 384, 3)
    convolutions += convolution(384, 384, 3, 2) + convolution(384, 256, 3, 2)
    dense = (9216 + 1) * 4096 + 4097 * 4096
    assert count_parameters(CaffeNet(1000)) == convolutions + dense + 4097 * 1000 == 60_965_224
    assert CaffeNet(10).eval()(torch.zeros(1, 3, 227, 227)).shape == (1, 10)


def test_ours_and_the_published_counts_of_the_others() -> None:
    assert count_parameters(multitask_cnn()) == 864_418
    assert count_parameters(googlenet(10)) == 6_624_904 - 990 * 1025, (
        "torchvision's count with 1,000 classes, no auxiliary heads"
    )
    with torch.device("meta"):
        assert count_parameters(vgg16(1000)) == 138_357_544, "Simonyan and Zisserman's 138M"


def test_folding_torchvisions_pairs_keeps_the_answers() -> None:
    network = googlenet(10).eval()
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    x = torch.randn(1, 3, 224, 224, generator=generator)
    with torch.inference_mode():
        before = network(x)
    after = run_network(ready(network), x, False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4)


def test_networks_take_turns_and_the_first_rounds_do_not_count() -> None:
    calls: list[str] = []
    jobs = {name: lambda name=name: calls.append(name) for name in ("a", "b", "c")}
    times = time_in_turn(jobs, 4)
    assert calls == ["a", "b", "c"] * (4 + baselines.WARM_UP)
    assert {name: len(found) for name, found in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(value >= 0 for found in times.values() for value in found)


def test_both_networks_of_adiencenet_are_run() -> None:
    seen: list[int] = []

    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape[-1])
            return x

    pair = Rival("pair", 5, 1.0, None, None, "", lambda: (Counted(), Counted()))
    run_rivals(2, rivals=(pair,))
    assert seen == [5] * 2 * (2 + baselines.WARM_UP)


def test_report_has_a_row_each_and_leaves_open_what_was_not_run(tmp_path: Path) -> None:
    result = run_rivals(2, reports=tmp_path / "reports", rivals=SMALL)
    assert read_rivals(tmp_path / "reports") == result and read_rivals(tmp_path) is None
    written = json.loads((tmp_path / "reports" / "rivals.json").read_text())
    assert list(written) == ["machine", "threads", "torch", "repeats", "rows"]
    assert all(set(row) == KEYS for row in written["rows"])
    assert result.threads == torch.get_num_threads()
    rows = {row.name: row for row in result.rows}
    assert list(rows) == [rival.name for rival in SMALL]
    assert (
        rows[OURS].parameters == 864_418
        and rows[OURS].ratio_to_ours == 1
        and rows[OURS].input == "64x64"
    )
    for row in rows.values():
        measured = [row.parameters, row.input, row.median_ms, row.p90_ms, row.ratio_to_ours]
        if row.name == "CNN-ELM":
            assert measured == [None] * 5 and "not run" in row.note
        else:
            assert all(measured) and row.median_ms > 0


def test_every_row_of_table_three_is_there_with_its_claims() -> None:
    claims = {rival.name: (rival.parameters, rival.desktop, rival.mobile) for rival in RIVALS}
    assert claims == {
        "AdienceNet": (9e6, 0.64, 0.12),
        "Best from [18]": (6.1e6, 0.48, 0.08),
        "CaffeNet": (61e6, None, None),
        "GoogLeNet": (4e6, None, None),
        "VGG-16": (138e6, None, None),
        "CNN-ELM": (11e6, None, None),
        OURS: (0.9e6, 0.08, 0.02),
    }


def test_table_shows_claims_and_ours_in_columns_of_their_own() -> None:
    row = RivalRow(
        name="AdienceNet",
        parameters=8_859_144,
        input="227x227",
        median_ms=20.66,
        p90_ms=25.0,
        ratio_to_ours=6.52,
        claimed_parameters=9e6,
        claimed_desktop_s=0.64,
        claimed_mobile_s=0.12,
        note="both",
    )
    none = RivalRow("CNN-ELM", None, None, None, None, None, 11e6, None, None, "not run")
    ours = replace(row, name=OURS, ratio_to_ours=1.0, claimed_desktop_s=0.08)
    result = RivalsReport("a box", 2, "2", 9, (row, none, ours))
    lines = rivals_table(result).splitlines()
    assert (
        lines[2]
        == "| AdienceNet | 227x227 | 9M | 8.86M | 0.64 s | 20.7 ms | 8.0 | 6.5 | 0.12 s | both |"
    )
    assert lines[3] == "| CNN-ELM | – | 11M | – | – | – | – | – | – | not run |"
    assert "a box, 2 threads" in lines[-1] and "mobile not run" in lines[-1]
    assert len({line.count("|") for line in lines[:5]}) == 1
