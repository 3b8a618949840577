"""Table III of the multi-task CNN's paper, measured again: parameters and time a face of the
networks it is compared with.

All in one process, on the same threads, one face at a time, each at its own input size. Weights are
random, because the time of a multiplication does not depend on the numbers. Repeats are round
robin, so that other load on the machine affects all networks alike. Batch norm is folded into the
convolutions, for the rivals as for ours.

Claims are the paper's: seconds on a 3.6 GHz CPU and on a phone; its mobile times are
shorter than its desktop times, as printed.

* AdienceNet (Levi and Hassner, «Age and Gender Classification using Convolutional Neural Networks»,
  2015) is one network for age and one for gender, and both must run. Their text states maps of
  28x28 and 14x14, which result from pooling that rounds up, as Caffe's does: 11.4M parameters.
  Table III's 9M result from rounding down, as in most other frameworks. It is rounded down here.
* CaffeNet is Krizhevsky's network in one column with grouped convolutions. Its 61M, VGG-16's 138M
  and GoogLeNet's count include 1,000 classes of ImageNet; here the last layer has 8 age groups and
  2 genders.
* «Best from [18]» (Zhu et al. 2016) and CNN-ELM (Duan et al. 2018) are not described in anything at
  hand and are not run.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agegender_core.benchmarks.error_analysis import median_ms, p90_ms
from agegender_core.benchmarks.networks import processor
from agegender_core.evaluation.published_results import OURS
from agegender_core.evaluation.report_types import RivalRow, RivalsReport
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json

AGES, GENDERS = 8, 2
"""Outputs: Adience's age groups and genders."""
WARM_UP = 3

Job = Callable[[], object]


class AdienceNet(nn.Sequential):
    """Levi and Hassner's network: (N, 3, 227, 227) to (N, ``classes``) logits. ``round_up``: pool
    as Caffe does (see above).
    """

    def __init__(self, classes: int, round_up: bool = False) -> None:
        grid = 7 if round_up else 6
        super().__init__(
            nn.Conv2d(3, 96, 7, stride=4),  # (N, 96, 56, 56)
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=round_up),  # (N, 96, 27, 27); 28 rounded up
            nn.LocalResponseNorm(5),
            nn.Conv2d(96, 256, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=round_up),  # (N, 256, 13, 13); 14 rounded up
            nn.LocalResponseNorm(5),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=round_up),  # (N, 384, 6, 6); 7 rounded up
            nn.Flatten(),
            *_dense(384 * grid * grid, 512),
            *_dense(512, 512),
            nn.Linear(512, classes),
        )


class CaffeNet(nn.Sequential):
    """Caffe's variant of AlexNet (Krizhevsky et al. 2012): (N, 3, 227, 227) to (N, ``classes``)
    logits.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(
            nn.Conv2d(3, 96, 11, stride=4),  # (N, 96, 55, 55)
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # (N, 96, 27, 27)
            nn.LocalResponseNorm(5),
            nn.Conv2d(96, 256, 5, padding=2, groups=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # (N, 256, 13, 13)
            nn.LocalResponseNorm(5),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1, groups=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1, groups=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # (N, 256, 6, 6)
            nn.Flatten(),
            *_dense(256 * 6 * 6, 4096),
            *_dense(4096, 4096),
            nn.Linear(4096, classes),
        )


def _dense(cin: int, cout: int) -> tuple[nn.Module, ...]:
    return nn.Linear(cin, cout), nn.ReLU(inplace=True), nn.Dropout(0.5)


def googlenet(classes: int) -> nn.Module:
    """GoogLeNet (Szegedy et al. 2015) as torchvision has it: batch norm added, 3x3 where the paper
    has 5x5. (N, 3, 224, 224).
    """
    from agegender_core.vision._torchvision_nms import ensure_torchvision

    ensure_torchvision()
    from torchvision.models import GoogLeNet

    return GoogLeNet(num_classes=classes, aux_logits=False, init_weights=False)


def vgg16(classes: int) -> nn.Module:
    """VGG-16 (Simonyan and Zisserman 2015) as torchvision has it. (N, 3, 224, 224) to (N,
    ``classes``) logits.
    """
    from agegender_core.vision._torchvision_nms import ensure_torchvision

    ensure_torchvision()
    from torchvision.models import vgg16 as build

    return build(weights=None, num_classes=classes, init_weights=False)


def multitask_cnn() -> nn.Module:
    """The paper's own network with its two outputs. (N, 3, 64, 64)."""
    return create_model("multitask_cnn", {"targets": 2})


@dataclass(frozen=True)
class Rival:
    """One row of Table III. ``build``: makes the networks that one face needs, none if it is not
    run; ``side``: pixels of the input.

    ``parameters``, ``desktop``, ``mobile``: as claimed, in values and seconds, None where the table
    has none.
    """

    name: str
    side: int | None
    parameters: float
    desktop: float | None
    mobile: float | None
    note: str
    build: Callable[[], Sequence[nn.Module]] = tuple


ONE_PASS = f"one pass with {AGES} + {GENDERS} outputs; one network a task would take twice as long"
NO_LAYOUT = "not run: we have no description of its layers"

RIVALS = (
    Rival(
        "AdienceNet",
        227,
        9e6,
        0.64,
        0.12,
        "one network for age and one for gender: time of both, parameters of the age network",
        lambda: (AdienceNet(AGES), AdienceNet(GENDERS)),
    ),
    Rival("Best from [18]", None, 6.1e6, 0.48, 0.08, NO_LAYOUT),
    Rival("CaffeNet", 227, 61e6, None, None, ONE_PASS, lambda: (CaffeNet(AGES + GENDERS),)),
    Rival(
        "GoogLeNet",
        224,
        4e6,
        None,
        None,
        f"torchvision's layout, batch norm folded; {ONE_PASS}",
        lambda: (googlenet(AGES + GENDERS),),
    ),
    Rival("VGG-16", 224, 138e6, None, None, ONE_PASS, lambda: (vgg16(AGES + GENDERS),)),
    Rival("CNN-ELM", None, 11e6, None, None, NO_LAYOUT),
    Rival(
        OURS,
        64,
        0.9e6,
        0.08,
        0.02,
        "both answers in one pass, one view",
        lambda: (multitask_cnn(),),
    ),
)


def run_rivals(
    repeats: int = 40,
    threads: int | None = None,
    reports: Path | None = None,
    rivals: Sequence[Rival] = RIVALS,
) -> RivalsReport:
    """Count and time ``rivals``; write ``rivals.json`` into ``reports`` unless None.

    Times are milliseconds a face. Rows that are not run have None for what would be measured.
    ``threads``: of torch, for the process.
    """
    if threads:
        torch.set_num_threads(threads)
    counts: dict[str, int] = {}
    jobs: dict[str, Job] = {}
    for rival in rivals:
        if networks := rival.build():
            counts[rival.name] = count_parameters(networks[0])
            jobs[rival.name] = _job(networks, rival)
    times = time_in_turn(jobs, repeats)
    ours = statistics.median(times[OURS]) if OURS in times else None
    result = RivalsReport(
        machine=f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}",
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        repeats=repeats,
        rows=tuple(
            _row(rival, counts.get(rival.name), times.get(rival.name), ours) for rival in rivals
        ),
    )
    if reports is not None:
        write_json(reports / "rivals.json", to_json(result))
    return result


def ready(network: nn.Module) -> nn.Module:
    """``network`` as the app runs its own: eval mode, no gradients, batch norm folded, channels
    last. Changes and returns it.
    """
    network.eval()
    for module in network.modules():
        convolution, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        # Torchvision's pairs; ours are in Sequentials.
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return optimize_for_inference(network)


def _job(networks: Sequence[nn.Module], rival: Rival) -> Job:
    """The work for one face: every network once on one image of the rival's own size."""
    assert rival.side is not None
    prepared = [ready(network) for network in networks]
    face = torch.randn(1, 3, rival.side, rival.side, generator=torch.Generator().manual_seed(0))
    return lambda: [run_network(network, face, False) for network in prepared]


def time_in_turn(jobs: Mapping[str, Job], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each of ``repeats`` runs of every job, one run of each in turn."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(-WARM_UP, repeats):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if turn >= 0:
                times[name].append(1000 * (time.perf_counter() - started))
    return times


def _row(
    rival: Rival, count: int | None, times: list[float] | None, ours: float | None
) -> RivalRow:
    median = statistics.median(times) if times else None
    return RivalRow(
        name=rival.name,
        parameters=count,
        input=f"{rival.side}x{rival.side}" if rival.side else None,
        median_ms=median_ms(times) if times else None,
        p90_ms=p90_ms(times) if times else None,
        ratio_to_ours=None if median is None or ours is None else round(median / ours, 2),
        claimed_parameters=rival.parameters,
        claimed_desktop_s=rival.desktop,
        claimed_mobile_s=rival.mobile,
        note=rival.note,
    )
